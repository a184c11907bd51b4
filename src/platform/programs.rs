//! Finding programs on `PATH`, as other tools will.

use std::path::PathBuf;

use super::Env;

#[expect(clippy::disallowed_methods, reason = "searches the directories on `PATH`")]
/// The path of the first program with this name on `PATH`.
pub(crate) fn find(env: &Env, name: &str) -> Option<PathBuf> {
    let path = env.path("PATH").or_else(|| env.path("Path"))?;
    let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(&path).map(|directory| directory.join(&name)).find(|candidate| candidate.is_file())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the test creates a directory of programs")]
mod tests {
    use super::*;

    #[test]
    fn the_first_directory_with_the_program_counts() {
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
