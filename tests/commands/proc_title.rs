//! The server's title among the processes.

use super::on_each_server;
use crate::support::Server;
use outrigger::resp::RespValue;

/// What the system shows as the process's title, or its first argument where it has none.
fn shown(server: &Server) -> String {
    let text = std::fs::read(format!("/proc/{}/cmdline", server.pid())).expect("a command line");
    String::from_utf8_lossy(text.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

#[test]
fn the_title_is_made_of_the_template() {
    on_each_server(|server| {
        let mut client = server.client();
        let port = server.port();
        let title = shown(server);
        assert!(title.ends_with(&format!(" 127.0.0.1:{port}")) && !title.contains("--port"), "{title}");
        let mut set = |template: &str| client.command(&["CONFIG", "SET", "proc-title-template", template]);
        // Longer than the arguments were, so that it takes the place of the environment, too; a stock server shows 255.
        let long = "x".repeat(200);
        assert_eq!(set(&format!("{long} {{port}} {{{{a}}")), RespValue::Simple(b"OK".to_vec()));
        assert_eq!(shown(server), format!("{long} {port} {{a}}"));
        assert_eq!(set("short"), RespValue::Simple(b"OK".to_vec()));
        assert_eq!(shown(server), "short");
        for wrong in ["{nosuch}", "{title", ""] {
            let refused = set(wrong);
            let text = String::from_utf8_lossy(refused.as_error().expect("a refusal"));
            assert!(text.ends_with(" - template format is invalid or contains unknown variables"), "{text}");
        }
        assert_eq!(shown(server), "short");
        client.ok("CONFIG SET proc-title-template {title}:{port}");
    });
}

#[test]
fn the_arguments_stay_where_no_title_is_wanted() {
    let server = Server::ours(&["--set-proc-title", "no"]);
    let program = shown(&server);
    assert!(program.ends_with("outrigger"), "{program}");
    server.client().ok("CONFIG SET proc-title-template short");
    assert_eq!(shown(&server), program);
}
