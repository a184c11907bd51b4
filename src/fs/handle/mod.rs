//! Directories by handles: what lies in them is looked at, renamed and removed by its name in an open directory, so that no link
//! can be put in the way of a path. Where the OS has no such calls, every part of a path is checked before it is used.

use std::ffi::OsString;
use std::io;
use std::path::{Component, Path};

mod found;
#[cfg(not(unix))]
mod portable;
#[cfg(unix)]
mod unix;

pub(crate) use found::Found;
#[cfg(not(unix))]
pub(crate) use portable::Handle;
#[cfg(unix)]
pub(crate) use unix::Handle;

impl Handle {
    /// A directory below this one; none of the directories on the way is entered through a link.
    pub(crate) fn walk(&self, relative: &Path) -> io::Result<Handle> {
        let mut found = self.again()?;
        for part in relative.components() {
            let Component::Normal(name) = part else {
                return Err(io::Error::other("a path has parts that are not names"));
            };
            found = found.child(name)?;
        }
        Ok(found)
    }

    /// The same, but missing directories are made.
    pub(crate) fn walk_or_make(&self, relative: &Path) -> io::Result<Handle> {
        let mut found = self.again()?;
        for part in relative.components() {
            let Component::Normal(name) = part else {
                return Err(io::Error::other("a path has parts that are not names"));
            };
            found = match found.child(name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    match found.make_directory(name) {
                        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                        _ => {}
                    }
                    found.child(name)?
                }
                child => child?,
            };
        }
        Ok(found)
    }

    /// Whether nothing lies in it.
    pub(crate) fn is_empty(&self) -> io::Result<bool> {
        self.names().map(|names: Vec<OsString>| names.is_empty())
    }
}

#[cfg(all(test, unix))]
mod tests;
