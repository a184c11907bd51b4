//! Services with the interface of S3: versitygw, which keeps conditions, and s3rver, which ignores them.

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{front, sigv4};
use crate::capture::{Source, secret};
use crate::github_service::http::Request;
use crate::npm::installed;

/// The bucket that every service here has.
pub const BUCKET: &str = "bucket";

/// How long a service may take to start, on a machine that others use as well.
const START: Duration = Duration::from_secs(30);

/// What opens a service: the variables of a step.
pub type Variables = Vec<(&'static str, String)>;

/// A process that ends when dropped.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running versitygw over a directory.
pub struct Versitygw {
    _process: Ending,
    pub port: u16,
    data: tempfile::TempDir,
    _users: tempfile::TempDir,
}

impl Versitygw {
    /// Starts one with an empty bucket. An error says why that is not possible.
    pub fn start() -> Result<Self, String> {
        let data = tempfile::tempdir().map_err(|error| error.to_string())?;
        std::fs::create_dir(data.path().join(BUCKET)).map_err(|error| error.to_string())?;
        let port = free_port();
        let mut command = Command::new("versitygw");
        let users = tempfile::tempdir().map_err(|error| error.to_string())?;
        command
            .args(["--port", &format!("127.0.0.1:{port}"), "--iam-dir"])
            .arg(users.path())
            .arg("posix")
            .arg(data.path())
            .env("ROOT_ACCESS_KEY", KEY)
            .env("ROOT_SECRET_KEY", SECRET)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Source::of("versitygw", &command);
        let process = command.spawn().map_err(|error| format!("versitygw cannot be started: {error}"))?;
        let gateway = Versitygw { _process: Ending(process), port, data, _users: users };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if begun.elapsed() > START {
                return Err("versitygw does not listen".to_owned());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(gateway)
    }

    /// The variables of a step that uses it at this port: its own, or that of a front.
    pub fn variables(port: u16) -> Variables {
        variables(port, KEY, SECRET)
    }

    /// Adds a user who may do in the bucket what a policy allows; returns the variables of a step with their key.
    pub fn add_user(&self, name: &str, policy: &str) -> Variables {
        let endpoint = format!("http://127.0.0.1:{}", self.port);
        let mut command = Command::new("versitygw");
        // Arguments are seen by every process of the machine.
        command.env("ADMIN_ACCESS_KEY_ID", KEY).env("ADMIN_SECRET_ACCESS_KEY", SECRET);
        command.args(["admin", "--endpoint-url", &endpoint]);
        command.args(["create-user", "--access", name, "--secret", USER_SECRET, "--role", "user"]);
        let output = crate::capture::output("versitygw", &mut command).expect("it can be started");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let request = Request::new("PUT", &format!("/{BUCKET}"), "policy=", policy);
        let request = sigv4::signed(request, self.port, KEY, SECRET).expect("it has all headers");
        let answer = front::pass_on(self.port, &request).expect("it answers");
        assert!(answer.status < 300, "{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        variables(self.port, name, USER_SECRET)
    }

    /// The directory that holds the objects of the bucket.
    pub fn bucket(&self) -> std::path::PathBuf {
        self.data.path().join(BUCKET)
    }
}

pub(super) const KEY: &str = "versitygw-key";
pub(super) const SECRET: &str = "versitygw-hush";
const USER_SECRET: &str = "hush-of-the-user";

/// A running s3rver.
pub struct S3rver {
    _process: Ending,
    port: u16,
    _data: tempfile::TempDir,
}

impl S3rver {
    /// Starts one with an empty bucket. An error says why that is not possible.
    pub fn start() -> Result<Self, String> {
        let directory = installed("s3rver")?;
        let data = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut command = Command::new("node");
        command
            .arg(directory.join("node_modules/s3rver/bin/s3rver.js"))
            .args(["--address", "127.0.0.1", "--port", "0", "--configure-bucket", BUCKET, "--directory"])
            .arg(data.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        Source::of("s3rver", &command);
        let mut process = command.spawn().map_err(|error| format!("node cannot be started: {error}"))?;
        let lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let process = Ending(process);
        let mut lines = lines.map_while(Result::ok);
        let port = lines.find_map(|line| line.trim().rsplit_once("listening on 127.0.0.1:")?.1.parse().ok());
        // It ends where its output is not read.
        std::thread::spawn(move || lines.count());
        let port = port.ok_or("s3rver ended before it listened")?;
        Ok(S3rver { _process: process, port, _data: data })
    }

    /// The variables of a step that uses it.
    pub fn variables(&self) -> Variables {
        variables(self.port, "S3RVER", "S3RVER")
    }
}

fn variables(port: u16, key: &str, secret_key: &str) -> Variables {
    secret("S3 secret", SECRET);
    vec![
        ("AWS_ACCESS_KEY_ID", key.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", secret_key.to_owned()),
        ("AWS_ENDPOINT_URL_S3", format!("http://127.0.0.1:{port}")),
    ]
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
    listener.local_addr().expect("a bound listener").port()
}
