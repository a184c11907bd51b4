//! Opening files that this process did not just create.
//!
//! Whatever lies under a name may have been put there by another user: a pipe that blocks its reader for ever, a device, a link to
//! a file elsewhere. So files are opened in one way: as regular files, and through a link only where the user may have made it.
//! It is looked at before it is opened, since opening a device can have effects, and again through the handle, which cannot be
//! exchanged any more. `tests/tidy` lists the files that open in another way, with their reasons.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::Path;
use std::time::SystemTime;

/// Whether a link in the place of a file is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Links {
    /// A link is an error: notes of this program, and whatever lies in a store, a cache or a temporary directory.
    Refused,
    /// A link may lead to a regular file: what users write and name, such as the configuration, sources and seeds.
    Followed,
    /// A link is an error, and a listing has just called the name a regular file: it is not looked at once more before it is opened. A
    /// device could only have taken its place by the hand of the system's administrator.
    Listed,
}

/// Opens a regular file for reading. On Linux reading it does not change its access time, where this user may ask for that:
/// what this program reads says nothing about the use of a cache.
///
/// # Errors
/// Those of the system, and one that says what it is instead of a regular file.
pub(crate) fn file(path: &Path, links: Links) -> io::Result<File> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::io::Errno;
        // Only owners may leave access times alone, and some file systems know no such flag.
        let refused = [Errno::PERM, Errno::INVAL];
        match open(File::options().read(true), path, links, rustix::fs::OFlags::NOATIME) {
            Err(error) if Errno::from_io_error(&error).is_some_and(|errno| refused.contains(&errno)) => {}
            opened => return opened,
        }
    }
    file_with(File::options().read(true), path, links)
}

/// Opens a regular file so that its mode and times can be set: Windows sets times through handles that may write.
pub(crate) fn for_metadata(path: &Path, links: Links) -> io::Result<File> {
    file_with(File::options().read(true).write(cfg!(windows)), path, links)
}

/// The same with other options; these may create the file.
pub(crate) fn file_with(options: &mut OpenOptions, path: &Path, links: Links) -> io::Result<File> {
    #[cfg(unix)]
    return open(options, path, links, rustix::fs::OFlags::empty());
    #[cfg(not(unix))]
    open(options, path, links)
}

fn open(
    options: &mut OpenOptions,
    path: &Path,
    links: Links,
    #[cfg(unix)] more: rustix::fs::OFlags,
) -> io::Result<File> {
    let found = match links {
        // Elsewhere no flag refuses a link that has come meanwhile.
        Links::Listed if cfg!(unix) => None,
        Links::Refused | Links::Listed => Some(fs::symlink_metadata(path)),
        Links::Followed => Some(fs::metadata(path)),
    };
    match found {
        None => {}
        Some(Ok(found)) => check_regular(&found)?,
        // The options may create it, and otherwise the error is the same.
        Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => {}
        Some(Err(error)) => return Err(error),
    }
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        // Without blocking, since a pipe may have taken the place of the file by now.
        let flags = match links {
            Links::Refused | Links::Listed => OFlags::NONBLOCK | OFlags::NOFOLLOW,
            Links::Followed => OFlags::NONBLOCK,
        };
        // std adds `O_CLOEXEC`.
        std::os::unix::fs::OpenOptionsExt::custom_flags(options, (flags | more).bits().cast_signed());
    }
    let file = options.open(path)?;
    check_regular(&file.metadata()?)?;
    Ok(file)
}

/// Whether reads change access times and the owner of a file can put them back. Linux reads without changing them; on Windows
/// a file must have been opened for that.
const PUTS_BACK: bool = cfg!(all(unix, not(any(target_os = "linux", target_os = "android"))));

/// The access time of a file, put back when the value is dropped where reads change it.
pub(crate) struct AccessTime<'a> {
    file: &'a File,
    before: Option<SystemTime>,
}

impl<'a> AccessTime<'a> {
    /// That of a file that is about to be read.
    pub(crate) fn of(file: &'a File) -> Self {
        let accessed = || file.metadata().and_then(|metadata| metadata.accessed()).ok();
        AccessTime { file, before: PUTS_BACK.then(accessed).flatten() }
    }
}

impl Drop for AccessTime<'_> {
    fn drop(&mut self) {
        let Some(before) = self.before else { return };
        let now = self.file.metadata().and_then(|metadata| metadata.accessed());
        // Another user's file keeps the time of this read.
        if now.is_ok_and(|now| now != before) {
            let _ = self.file.set_times(fs::FileTimes::new().set_accessed(before));
        }
    }
}

fn check_regular(found: &Metadata) -> io::Result<()> {
    let kind = found.file_type();
    if kind.is_file() {
        Ok(())
    } else if kind.is_dir() {
        Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory, where a file was expected"))
    } else if kind.is_symlink() {
        Err(io::Error::other("it is a link, which is not followed here"))
    } else {
        Err(io::Error::other("it is not a regular file"))
    }
}

/// Opens a directory, through a link as well, to have its names kept over a power cut.
#[cfg(unix)]
pub(crate) fn directory(path: &Path) -> io::Result<File> {
    use rustix::fs::OFlags;
    let mut options = File::options();
    let flags = (OFlags::DIRECTORY | OFlags::NONBLOCK).bits().cast_signed();
    std::os::unix::fs::OpenOptionsExt::custom_flags(options.read(true), flags);
    options.open(path)
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;

    use super::*;

    struct Place {
        directory: tempfile::TempDir,
        _socket: UnixListener,
    }

    /// A regular file and everything else that can have a file's name.
    fn place() -> Place {
        let directory = tempfile::tempdir().expect("a place");
        let at = |name: &str| directory.path().join(name);
        fs::write(at("file"), "text").expect("written");
        symlink(at("file"), at("link")).expect("linked");
        symlink("/dev/zero", at("endless")).expect("linked");
        symlink("nowhere", at("dangling")).expect("linked");
        symlink("circle", at("circle")).expect("linked");
        let made = std::process::Command::new("mkfifo").arg(at("pipe")).status();
        assert!(made.is_ok_and(|status| status.success()), "a pipe");
        symlink("pipe", at("to-pipe")).expect("linked");
        let socket = UnixListener::bind(at("socket")).expect("a socket");
        Place { directory, _socket: socket }
    }

    impl Place {
        fn at(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }
    }

    #[test]
    fn only_regular_files_are_opened_and_nothing_blocks() {
        let place = place();
        for links in [Links::Refused, Links::Followed, Links::Listed] {
            let mut text = String::new();
            file(&place.at("file"), links).expect("opened").read_to_string(&mut text).expect("read");
            assert_eq!(text, "text");
            for name in [".", "missing", "endless", "dangling", "circle", "pipe", "to-pipe", "socket"] {
                assert!(file(&place.at(name), links).is_err(), "{name} {links:?}");
                let mut both = File::options();
                assert!(file_with(both.read(true).write(true), &place.at(name), links).is_err(), "{name}");
                let mut write = File::options();
                assert!(file_with(write.write(true), &place.at(name), links).is_err(), "{name}");
            }
            assert!(file(Path::new("/dev/null"), links).is_err(), "a device");
        }
        assert!(file(&place.at("link"), Links::Followed).is_ok());
        for links in [Links::Refused, Links::Listed] {
            assert!(file(&place.at("link"), links).is_err(), "{links:?}");
        }
    }

    #[test]
    fn nothing_is_created_through_a_link() {
        let place = place();
        symlink(place.at("made"), place.at("waiting")).expect("linked");
        let create = |name: &str| {
            let mut options = File::options();
            file_with(options.write(true).create(true).truncate(false), &place.at(name), Links::Refused)
        };
        assert!(create("waiting").is_err());
        assert!(!place.at("made").exists());
        create("new").expect("created");
        assert!(place.at("new").is_file());
    }
}
