//! A real blob service: Azurite, in a process of its own.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::blobs::Facts;
use super::http::ask;
use super::signing::{ACCOUNT, account_signature};
use crate::capture::Source;
use crate::npm::installed;

/// A running Azurite with one container; it ends when dropped.
pub struct Azurite {
    process: Child,
    pub port: u16,
    /// Its data, where they are not in memory.
    _data: Option<tempfile::TempDir>,
}

impl Azurite {
    /// Starts one with an empty container. An error says why that is not possible.
    pub fn start(container: &str) -> Result<Self, String> {
        let directory = installed("azurite")?;
        let data = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut command = Command::new("node");
        command
            .arg(directory.join("node_modules/azurite/dist/src/blob/main.js"))
            .args(["--blobHost", "127.0.0.1", "--blobPort", "0", "--silent", "--skipApiVersionCheck"])
            .arg("--disableTelemetry")
            .arg("--location")
            .arg(data.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        Source::of("azurite", &command);
        let mut process = command.spawn().map_err(|error| format!("node cannot be started: {error}"))?;
        let lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let port = lines.map_while(Result::ok).find_map(|line| {
            let (_, address) = line.split_once("successfully listens on ")?;
            address.trim().rsplit_once(':')?.1.parse().ok()
        });
        let Some(port) = port else {
            let _ = process.kill();
            return Err("Azurite ended before it listened".to_owned());
        };
        let azurite = Azurite { process, port, _data: Some(data) };
        let target = format!("/{ACCOUNT}/{container}?restype=container&{}", account_signature());
        match ask("PUT", port, &target) {
            Ok((201, _)) => Ok(azurite),
            other => Err(format!("Azurite made no container: {other:?}")),
        }
    }

    pub fn facts(&self, path: &str) -> Option<Facts> {
        let target = format!("/{ACCOUNT}/{path}?{}", account_signature());
        let (status, headers) = ask("HEAD", self.port, &target).ok()?;
        let header = |name: &str| headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        (status == 200).then_some(())?;
        Some(Facts {
            size: header("content-length")?.parse().ok()?,
            etag: header("etag")?,
            last_modified: header("last-modified")?,
        })
    }

    pub fn remove(&self, path: &str) {
        let target = format!("/{ACCOUNT}/{path}?{}", account_signature());
        ask("DELETE", self.port, &target).expect("Azurite answers");
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
