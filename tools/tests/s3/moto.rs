//! The server that the tests run against.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A header by which moto takes a request for one of the account's.
const SIGNED: &str = "Authorization: AWS4-HMAC-SHA256 Credential=tester/20260101/us-east-1/s3/aws4_request, \
                      SignedHeaders=host, Signature=0";

/// A server that ends when this does, or the process.
pub struct Moto {
    pub port: u16,
    child: Child,
}

/// Where it is: named by the environment, on the path, or in the folder that the continuous integration fills.
fn program() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/ci-python/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let named = std::env::var_os("OUTRIGGER_TEST_MOTO").map(PathBuf::from);
    let folders = std::env::split_paths(&path).chain([own]).map(|dir| dir.join("moto_server"));
    let found = named.into_iter().chain(folders).find(|file| file.is_file());
    if found.is_none() {
        let required = std::env::var_os("OUTRIGGER_REQUIRE_PEERS").is_some_and(|value| value == "1");
        assert!(!required, "no moto_server: pip install 'moto[server]'");
        eprintln!("SKIPPED: moto_server not found (pip install 'moto[server]')");
    }
    found
}

impl Moto {
    /// Starts one; `None` if it is not installed. From the first `open` requests on it asks who is calling.
    pub fn start(open: Option<u32>) -> Option<Moto> {
        let program = program()?;
        let port = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port").port();
        // The shell waits for the end of its standard input, which comes however this process ends.
        let script = r#""$0" -H 127.0.0.1 -p "$1" & read -r _; kill $!"#;
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(program).arg(port.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some(open) = open {
            command.env("INITIAL_NO_AUTH_ACTION_COUNT", open.to_string());
        }
        let moto = Moto { port, child: command.spawn().expect("start a shell") };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(60), "moto_server does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(moto)
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// A bucket of its own on the server that all tests share.
pub struct Bucket {
    pub name: String,
    pub port: u16,
}

/// A new bucket; `None` if there is no server.
pub fn bucket() -> Option<Bucket> {
    static SHARED: OnceLock<Option<Moto>> = OnceLock::new();
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let port = SHARED.get_or_init(|| Moto::start(None)).as_ref()?.port;
    let name = format!("bucket-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let bucket = Bucket { name, port };
    assert_eq!(bucket.request("PUT", "", b"").0, 200, "make a bucket");
    Some(bucket)
}

impl Bucket {
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A request with a signature that nobody looks at; the status, and the body.
    pub fn request(&self, method: &str, rest: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("connect");
        let head = format!(
            "{method} /{}{rest} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\nConnection: close\r\n{SIGNED}\r\n\r\n",
            self.name,
            body.len()
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).expect("send");
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).expect("an answer");
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        while line.trim() != "" {
            line.clear();
            reader.read_line(&mut line).expect("a header");
        }
        let mut found = Vec::new();
        reader.read_to_end(&mut found).expect("a body");
        (status, found)
    }

    fn texts(&self, rest: &str, tag: &str) -> Vec<String> {
        let (status, body) = self.request("GET", rest, b"");
        assert_eq!(status, 200, "{rest}");
        let body = String::from_utf8(body).expect("text");
        let open = format!("<{tag}>");
        body.split(&open).skip(1).filter_map(|rest| Some(rest.split_once('<')?.0.to_owned())).collect()
    }

    /// The keys of all objects.
    pub fn keys(&self) -> Vec<String> {
        self.texts("?list-type=2", "Key")
    }

    /// The uploads that have begun and not ended.
    pub fn uploads(&self) -> Vec<String> {
        self.texts("?uploads", "UploadId")
    }

    /// How many parts the uploads hold that have begun and not ended.
    pub fn parts(&self) -> usize {
        let (keys, uploads) = (self.texts("?uploads", "Key"), self.uploads());
        assert_eq!(keys.len(), uploads.len());
        let of =
            |(key, id): (&String, &String)| self.texts(&format!("/{key}?uploadId={id}"), "PartNumber").len();
        keys.iter().zip(&uploads).map(of).sum()
    }

    pub fn get(&self, key: &str) -> Vec<u8> {
        let (status, body) = self.request("GET", &format!("/{key}"), b"");
        assert_eq!(status, 200, "{key}");
        body
    }

    pub fn put(&self, key: &str, body: &[u8]) {
        assert_eq!(self.request("PUT", &format!("/{key}"), body).0, 200, "{key}");
    }

    pub fn remove(&self, key: &str) {
        assert_eq!(self.request("DELETE", &format!("/{key}"), b"").0, 204, "{key}");
    }

    /// Archives without a record.
    pub fn unpublished(&self) -> Vec<String> {
        let keys = self.keys();
        let lacks = |key: &&String| {
            key.strip_suffix(".oar").is_some_and(|name| !keys.contains(&format!("{name}.record")))
        };
        keys.iter().filter(lacks).cloned().collect()
    }
}
