use super::*;
use std::net::TcpListener;
use std::thread::spawn;

/// A server that answers each of the connections with one text, after having read something.
fn serve(answers: Vec<&'static [u8]>) -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        for answer in answers {
            let mut bytes = [0; 4096];
            let _ = stream.read(&mut bytes);
            let _ = stream.write_all(answer);
        }
    });
    format!("redis://127.0.0.1:{port}").parse().expect("a URL")
}

fn patience(ms: u64) -> Patience {
    Patience { timeout: Duration::from_millis(ms), loading: Duration::from_secs(20) }
}

fn refusal(answers: Vec<&'static [u8]>) -> String {
    let opened = Connection::open(&serve(answers), patience(5_000));
    opened.map(drop).expect_err("no connection").to_string()
}

#[test]
fn loading_is_waited_for_and_replies_come_in_pieces() {
    let answers: Vec<&[u8]> =
        vec![b"-LOADING Redis is loading\r\n", b"-LOADING Redis is loading\r\n", b"+PONG\r\n", b"$5\r\nhel"];
    let target = serve(answers.into_iter().chain([b"lo\r\n:7\r\n".as_slice()]).collect());
    let mut connection = Connection::open(&target, patience(5_000)).expect("a connection");
    connection.push(&["GET", "k"]);
    connection.flush().unwrap();
    connection.push(&["INCR", "n"]);
    std::thread::sleep(Duration::from_millis(50));
    connection.flush().unwrap();
    assert_eq!(connection.read().unwrap(), RespValue::Bulk(b"hello".to_vec()));
    assert_eq!(connection.read().unwrap(), RespValue::Int(7));
    let gone = connection.call(&["PING"]).expect_err("it went away").to_string();
    assert!(gone.contains("went away"), "{gone}");
}

#[test]
fn refusals_say_what_to_do() {
    let noauth = refusal(vec![b"-NOAUTH Authentication required.\r\n"]);
    assert!(noauth.contains("REDISCLI_AUTH"), "{noauth}");
    let denied = refusal(vec![b"-DENIED Redis is running in protected mode\r\n"]);
    assert!(denied.contains("Protected mode:"), "{denied}");
    let other = refusal(vec![b"HTTP/1.1 400 Bad Request\r\n\r\n"]);
    assert!(other.contains("not a Redis-compatible server"), "{other}");
    let closed = refusal(vec![]);
    assert!(closed.contains("the connection broke"), "{closed}");
}

#[test]
fn a_server_that_does_not_listen_or_answer_is_told_of() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let target: Target = format!("redis://:hunter2@127.0.0.1:{port}").parse().unwrap();
    let error = Connection::open(&target, patience(5_000)).map(drop).expect_err("refused").to_string();
    assert!(error.contains("does it run") && !error.contains("hunter2"), "{error}");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("redis://{}", silent.local_addr().unwrap()).parse().unwrap();
    let error = Connection::open(&target, patience(50)).map(drop).expect_err("silent").to_string();
    assert!(error.contains("no answer in time"), "{error}");
    let error = Connection::open(&"unix:/nowhere/at/all".parse().unwrap(), patience(50)).map(drop);
    assert!(error.expect_err("no socket").to_string().contains("no such socket"));
}
