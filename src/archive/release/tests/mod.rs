//! Archives of every format, honest and hostile.
use std::collections::BTreeMap;
use std::io::{Cursor, Seek as _, Write as _};
use std::ops::ControlFlow;
use std::path::Path;

use tar::EntryType;
use tokio_util::sync::CancellationToken;
use zip::write::SimpleFileOptions;

use super::error::fault;
use super::*;
use crate::archive::format::error::ArchiveError;
use crate::archive::read::limits::Limits;
use crate::domain::digest::{Algorithm, Sha256Digest};
use crate::domain::event::{Meter, Phase};
use crate::domain::fault::Fault;
use crate::threads::executor::Owner;

/// What a tar of these tests holds: name, kind, content or target.
type TarEntries<'e> = &'e [(&'e str, EntryType, &'e [u8])];

const RELEASE: TarEntries<'static> = &[
    ("pax_global_header", EntryType::XGlobalHeader, b"19 comment=abcdefg\n"),
    ("./top/", EntryType::Directory, b""),
    ("./top/README", EntryType::Regular, b"read me"),
    ("./top/data/", EntryType::Directory, b""),
    ("./top/data/CID/one", EntryType::Regular, b"the first object"),
    ("./top/data/CID/empty", EntryType::Regular, b""),
    ("./top/data/none/", EntryType::Directory, b""),
    ("./top/data/link", EntryType::Symlink, b"CID/one"),
    ("./top/data/again", EntryType::Link, b"./top/data/CID/one"),
    ("./top/data-more/two", EntryType::Regular, b"not below data"),
];

/// Names go into the headers as they are: the tar crate would refuse the hostile ones.
fn tar_of(entries: TarEntries<'_>) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, kind, content) in entries {
        let mut header = tar::Header::new_gnu();
        let old = header.as_old_mut();
        old.name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(if kind.is_dir() { 0o755 } else { 0o640 });
        header.set_mtime(1_700_000_000);
        let link = kind.is_symlink() || kind.is_hard_link();
        if link {
            header.as_old_mut().linkname[..content.len()].copy_from_slice(content);
        }
        header.set_size(if link { 0 } else { content.len() as u64 });
        header.set_cksum();
        builder.append(&header, if link { &[][..] } else { content }).expect("into memory");
    }
    builder.into_inner().expect("into memory")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("into memory");
    encoder.finish().expect("into memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ::zstd::stream::write::Encoder::new(Vec::new(), 3).expect("an encoder");
    encoder.include_checksum(true).expect("an option");
    encoder.write_all(bytes).expect("into memory");
    encoder.finish().expect("into memory")
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder =
        lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).expect("xz");
    encoder.write_all(bytes).expect("into memory");
    encoder.finish().expect("into memory")
}

fn zip_of(entries: TarEntries<'_>) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    for (name, kind, content) in entries {
        let options = options.unix_permissions(if kind.is_dir() { 0o755 } else { 0o640 });
        match kind {
            EntryType::Directory => writer.add_directory(*name, options).expect("into memory"),
            EntryType::Symlink => {
                let target = String::from_utf8_lossy(content);
                writer.add_symlink(*name, target, options).expect("into memory");
            }
            EntryType::Regular => {
                writer.start_file(*name, options).expect("into memory");
                writer.write_all(content).expect("into memory");
            }
            _ => {}
        }
    }
    let mut bytes = writer.finish().expect("into memory").into_inner();
    for index in indexed(&bytes) {
        bytes[index + 5] = 3;
    }
    bytes
}

/// Where the entries of the index of a zip are; the sixth byte of each is the system that it was made by: 0 DOS, 3 Unix.
fn indexed(bytes: &[u8]) -> Vec<usize> {
    let starts = bytes.windows(4).enumerate().filter(|(_, four)| *four == b"PK\x01\x02");
    starts.map(|(index, _)| index).collect()
}

/// A path as archives write it.
fn shown(path: &Path) -> String {
    path.display().to_string().replace(std::path::MAIN_SEPARATOR, "/")
}

struct Setting {
    subdir: Option<String>,
    checksum: Option<Expected>,
    limits: Limits,
    cancel: CancellationToken,
    spool: tempfile::TempDir,
}

impl Setting {
    fn new(subdir: Option<&str>) -> Self {
        Setting {
            subdir: subdir.map(str::to_owned),
            checksum: None,
            limits: Limits { bytes: 4 << 20, entries: 100 },
            cancel: CancellationToken::new(),
            spool: tempfile::tempdir().expect("a temp directory"),
        }
    }

    fn with<T>(&self, run: impl FnOnce(&ExtractOptions<'_>) -> T) -> T {
        run(&ExtractOptions {
            archive: "the archive",
            subdir: self.subdir.as_deref(),
            checksum: self.checksum.as_ref(),
            limits: self.limits,
            spool: self.spool.path(),
            cancel: &self.cancel,
            meter: &Meter::new("c", Phase::Seed),
        })
    }

    /// Everything that is handed out, in words.
    fn list(&self, input: Input) -> Result<(BTreeMap<String, String>, Extracted), Fault> {
        let mut items = BTreeMap::new();
        let extracted = self.with(|options| {
            extract(input, options, &mut |item| {
                let words = match item.kind {
                    ItemKind::File { size, reader } => {
                        let mut text = String::new();
                        let read = reader.read_to_string(&mut text);
                        read.map_err(|error| fault("the sink", error))?;
                        assert_eq!(size, text.len() as u64);
                        format!("file {:o} {text}", item.mode.expect("a mode"))
                    }
                    ItemKind::Directory => "directory".to_owned(),
                    ItemKind::Symlink { target } => format!("link to {}", String::from_utf8_lossy(&target)),
                    ItemKind::Hardlink { target } => format!("same as {}", shown(&target)),
                };
                items.insert(shown(&item.path), words);
                Ok::<_, Fault>(ControlFlow::Continue(()))
            })
        })?;
        Ok((items, extracted))
    }

    /// Reads everything, whatever is in it.
    fn list_lossy(&self, bytes: &[u8]) -> Result<Extracted, Fault> {
        self.with(|options| {
            extract(stream(bytes), options, &mut |item| {
                if let ItemKind::File { reader, .. } = item.kind {
                    let copied = std::io::copy(reader, &mut std::io::sink());
                    copied.map_err(|error| fault("the sink", error))?;
                }
                Ok(ControlFlow::Continue(()))
            })
        })
    }

    fn list_bytes(&self, bytes: &[u8]) -> Result<(BTreeMap<String, String>, Extracted), Fault> {
        self.list(stream(bytes))
    }

    fn refusal(&self, bytes: &[u8]) -> String {
        self.list_bytes(bytes).expect_err("refused").to_string()
    }
}

fn stream(bytes: &[u8]) -> Input {
    Input::Stream(Box::new(Cursor::new(bytes.to_vec())))
}

/// Every format, in one piece and in several.
fn formats(entries: TarEntries<'_>) -> Vec<(Format, Vec<u8>)> {
    let tar = tar_of(entries);
    let (one, two) = tar.split_at(tar.len() / 3);
    let skippable = b"\x52\x2a\x4d\x18\x05\x00\x00\x00hello";
    vec![
        (Format::Tar, tar.clone()),
        (Format::TarGzip, gzip(&tar)),
        (Format::TarGzip, [gzip(one), gzip(two)].concat()),
        (Format::TarZstd, zstd(&tar)),
        (Format::TarZstd, [skippable, &zstd(one)[..], skippable, &zstd(two), skippable].concat()),
        (Format::TarXz, xz(&tar)),
        (Format::TarXz, [xz(one), xz(two)].concat()),
        (Format::Zip, zip_of(entries)),
    ]
}

#[test]
fn every_format_gives_the_same_items() {
    let setting = Setting::new(Some("top/data"));
    for (format, bytes) in formats(RELEASE) {
        let (items, extracted) = setting.list_bytes(&bytes).expect("an honest archive");
        let mut expect = BTreeMap::from(
            [
                ("CID/one", "file 640 the first object"),
                ("CID/empty", "file 640 "),
                ("none", "directory"),
                ("link", "link to CID/one"),
                ("again", "same as CID/one"),
            ]
            .map(|(path, words)| (path.to_owned(), words.to_owned())),
        );
        if format == Format::Zip {
            expect.remove("again");
        }
        assert_eq!(items, expect, "{format}");
        assert_eq!((extracted.format, extracted.bytes, extracted.complete), (format, 16, true));
        assert_eq!(extracted.items, items.len() as u64);
    }
}

#[test]
fn the_checksum_covers_the_whole_stream() {
    let mut setting = Setting::new(None);
    for (format, mut bytes) in formats(RELEASE) {
        if format == Format::Tar {
            bytes.extend_from_slice(b"behind the end mark");
        }
        let digest = Sha256Digest::of(&bytes).to_string();
        for (hash, ok) in [(digest, true), ("0".repeat(64), false)] {
            setting.checksum = Some(Expected::new(Algorithm::Sha256, &hash).expect("a hash"));
            let (_, extracted) = setting.list_bytes(&bytes).expect("an honest archive");
            assert_eq!(extracted.checksum_ok(), ok, "{format}");
        }
    }
}

#[test]
fn what_is_not_an_archive_is_named() {
    let setting = Setting::new(None);
    let check = |bytes: &[u8], expect: &str| {
        assert_eq!(setting.refusal(bytes), format!("the archive: {expect}"));
    };
    let known = "; known are tar, tar.gz, tar.zst, tar.xz and zip";
    check(b"", &format!("not an archive but empty{known}"));
    check(b"\n<!DOCTYPE html><html>", &format!("not an archive but a web page{known}"));
    check(b"BZh91AY&SY", &format!("not an archive but bzip2{known}"));
    check(&[7; 600], &format!("not an archive but something else{known}"));
    check(&gzip(b"only text"), "unpacks to something that is not a tar archive (tar.gz)");
    check(&zstd(b""), "unpacks to something that is not a tar archive (tar.zst)");
    check(
        &[&gzip(&tar_of(RELEASE))[..], b"some junk behind it"].concat(),
        "the archive is damaged: tar.gz: invalid gzip header",
    );
}

#[test]
fn a_directory_that_is_missing_is_reported_with_what_is_there() {
    for (_, bytes) in formats(RELEASE) {
        let refusal = Setting::new(Some("Top/data")).refusal(&bytes);
        assert!(refusal.starts_with("the archive: has nothing in `Top/data`; at its top are: "), "{refusal}");
        assert!(refusal.ends_with(" top"), "{refusal}");
    }
    let refusal = Setting::new(Some("../x")).refusal(&tar_of(RELEASE));
    let expect = "`subdir` `../x` has `..` in its name";
    assert_eq!(refusal, format!("the archive: {expect}"));
}

#[test]
fn the_sink_may_end_it_and_its_errors_come_through() {
    let setting = Setting::new(None);
    for (format, bytes) in formats(RELEASE) {
        let ended: Result<_, Fault> =
            setting.with(|options| extract(stream(&bytes), options, &mut |_| Ok(ControlFlow::Break(()))));
        let ended = ended.expect("an honest archive");
        assert_eq!((ended.items, ended.complete), (1, false), "{format}");
        let failed: Result<_, Fault> = setting.with(|options| {
            extract(stream(&bytes), options, &mut |_| Err(fault("the sink", ArchiveError::Cancelled)))
        });
        assert_eq!(failed.expect_err("the sink's").to_string(), "the sink: interrupted", "{format}");
    }
    setting.cancel.cancel();
    assert_eq!(setting.refusal(&tar_of(RELEASE)), "the archive: interrupted");
}

#[test]
fn a_zip_is_read_from_its_file_and_a_streamed_one_leaves_nothing_behind() {
    let setting = Setting::new(Some("top"));
    let mut file = tempfile::tempfile().expect("a temp file");
    file.write_all(&zip_of(RELEASE)).expect("written");
    file.rewind().expect("at the start");
    let (from_file, _) = setting.list(Input::File(file)).expect("an honest archive");
    let (from_stream, _) = setting.list_bytes(&zip_of(RELEASE)).expect("an honest archive");
    assert_eq!(from_file, from_stream);
    assert_eq!(std::fs::read_dir(setting.spool.path()).expect("readable").count(), 0);
}

#[test]
fn zips_with_backslashes_have_directories_too() {
    let setting = Setting::new(Some("top"));
    let mut bytes = zip_of(&[("top\\data\\x", EntryType::Regular, b"x")]);
    let index = indexed(&bytes)[0];
    bytes[index + 5] = 0;
    let (items, _) = setting.list_bytes(&bytes).expect("readable");
    assert_eq!(items.keys().collect::<Vec<_>>(), ["data/x"]);
}

#[test]
fn archives_come_through_broken_connections() {
    use crate::transport::http::client::{Client, Timeouts};
    use crate::transport::http::options::FetchOptions;
    use crate::transport::http::retry::{Clock, RetryPolicy};
    use crate::transport::source::Source;
    use cachekeep_test_support::fault_server::{Fault, FaultServer, Resource};

    let runtime = Owner::start().expect("a runtime");
    let client = Client::new(Timeouts::default()).expect("a client");
    let server = FaultServer::start();
    let setting = Setting::new(Some("top"));
    let (whole, _) = setting.list_bytes(&tar_of(RELEASE)).expect("an honest archive");
    let retry = RetryPolicy { first_wait: std::time::Duration::from_millis(5), ..RetryPolicy::default() };
    let options = FetchOptions {
        retry,
        deadline: None,
        clock: Clock::starting_at(chrono::DateTime::UNIX_EPOCH),
        accept: None,
        digest_is_checked: false,
        cancel: setting.cancel.clone(),
    };
    let open = || {
        let source = Source::parse(&server.url("/release?sig=hush"), Path::new("/")).expect("a URL");
        source.open(&client, options.clone(), runtime.executor()).map(Input::from)
    };
    for (format, bytes) in formats(RELEASE) {
        let third = bytes.len() / 3;
        server.put("/release", Resource::new(bytes.clone(), [Fault::ResetAt(third), Fault::CloseAt(third)]));
        let (mut items, extracted) = setting.list(open().expect("begun")).expect("an honest archive");
        if format == Format::Zip {
            items.insert("data/again".to_owned(), "same as data/CID/one".to_owned());
        }
        assert_eq!((items, extracted.format), (whole.clone(), format));
    }
    server.put("/release", Resource::new(tar_of(RELEASE), [Fault::CloseAt(700)]).without_version());
    let error = setting.list(open().expect("begun")).expect_err("cannot be resumed").to_string();
    let expect = "cannot resume after 700 bytes: the server names no version of the file";
    assert_eq!(error, format!("{}: {expect}", server.url("/release")));
}

mod hostile;
#[cfg(unix)]
mod tree;
