//! Programs that other people's tools will look for.

use std::path::PathBuf;

use super::Env;

#[expect(clippy::disallowed_methods, reason = "folders of programs are looked into")]
/// The first program of this name on `PATH`.
pub fn find(env: &Env, name: &str) -> Option<PathBuf> {
    let path = env.path("PATH").or_else(|| env.path("Path"))?;
    let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(&path).map(|folder| folder.join(&name)).find(|candidate| candidate.is_file())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the test makes a folder of programs")]
mod tests {
    use super::*;

    #[test]
    fn the_first_folder_that_has_it_counts() {
        let place = tempfile::tempdir().expect("a place");
        let name = format!("zstd{}", std::env::consts::EXE_SUFFIX);
        std::fs::create_dir(place.path().join("b")).expect("made");
        std::fs::write(place.path().join("b").join(&name), "").expect("written");
        let path = std::env::join_paths([place.path().join("a"), place.path().join("b")]).expect("a path");
        let env = Env::of([("PATH", path.to_str().expect("text"))]);
        assert_eq!(find(&env, "zstd"), Some(place.path().join("b").join(name)));
        assert_eq!(find(&env, "git"), None);
    }
}
