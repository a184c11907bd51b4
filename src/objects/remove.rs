//! Removing objects: those that are not wanted any more, and those that are not what their names say.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::layout::ObjectLayout;
use crate::domain::digest::ObjectId;
use crate::fs::path_error::PathError;

/// Removes an object from a store. Whether it was there.
pub(crate) fn remove_object(
    root: &Path,
    layout: &ObjectLayout,
    object: &ObjectId,
) -> Result<bool, PathError> {
    let path = root.join(layout.path_of(object));
    match fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(PathError::on("remove", &path)(error)),
    }
}

/// Moves what lies under an object's name, a directory even, into `aside`: an existing directory of this process
/// alone on the store's volume, which goes with its owner. Whether something was there.
pub(crate) fn set_aside(
    root: &Path,
    layout: &ObjectLayout,
    object: &ObjectId,
    aside: &Path,
) -> Result<bool, PathError> {
    let path = root.join(layout.path_of(object));
    match fs::rename(&path, aside.join(format!("{}-{}", object.algorithm(), object.hash()))) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(PathError::on("move away", &path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::digest::Algorithm;
    use crate::domain::template::Template;

    #[test]
    fn what_lies_under_a_name_goes_and_what_is_gone_is_no_error() {
        let place = tempfile::tempdir().expect("a directory");
        let root = place.path();
        let template = Template::parse("{ALGO}/{hash}").expect("a template");
        let layout = ObjectLayout::new(&template).expect("a layout");
        let object = ObjectId::new(Algorithm::Md5, &"a".repeat(32)).expect("a hash");
        let path = root.join(layout.path_of(&object));
        fs::create_dir_all(root.join("aside")).expect("made");
        fs::create_dir_all(&path).expect("made");
        assert!(set_aside(root, &layout, &object, &root.join("aside")).expect("moved"));
        assert!(!path.exists());
        fs::write(&path, "x").expect("written");
        assert!(remove_object(root, &layout, &object).expect("removed"));
        assert!(!remove_object(root, &layout, &object).expect("gone"));
        assert!(!set_aside(root, &layout, &object, &root.join("aside")).expect("gone"));
    }
}
