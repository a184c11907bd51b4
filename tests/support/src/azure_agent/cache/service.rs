//! The service behind `Cache@2`: a directory that outlives jobs, with faults that a test can ask for.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde_json::{Value, json};

use super::files;
use super::fingerprint::Fingerprint;
use super::{Format, guid};

/// What the service does wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Look-ups fail.
    pub lookup: bool,
    /// Downloads break after this many bytes.
    pub download_after: Option<u64>,
    /// Uploads fail.
    pub upload: bool,
    /// Entries cannot be created once their content is there.
    pub create: bool,
}

/// An entry that was saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedEntry {
    /// The pipeline's number.
    pub definition: String,
    /// The branch or pull request that wrote it.
    pub scope: String,
    /// Its segments, joined by `|`.
    pub key: String,
    /// `SingleTar` or `Files`.
    pub format: String,
    /// The archive, or the directory with the files.
    pub content: PathBuf,
}

/// What a look-up found.
pub(super) struct Found {
    pub fingerprint: Fingerprint,
    pub scope: String,
    pub format: Format,
    pub content: PathBuf,
}

/// Entries in a directory. Nothing is ever deleted or overwritten.
pub struct AzureCacheService {
    directory: PathBuf,
    faults: Mutex<Faults>,
}

impl AzureCacheService {
    /// A service whose entries lie in a directory.
    pub fn new(directory: &Path) -> Self {
        std::fs::create_dir_all(directory.join("entries")).expect("a directory");
        std::fs::create_dir_all(directory.join("contents")).expect("a directory");
        AzureCacheService { directory: directory.to_owned(), faults: Mutex::new(Faults::default()) }
    }

    /// From now on, the service does this wrong.
    pub fn set_faults(&self, faults: Faults) {
        *self.faults.lock().expect("not poisoned") = faults;
    }

    fn faults(&self) -> Faults {
        *self.faults.lock().expect("not poisoned")
    }

    /// All entries, the oldest first.
    pub fn entries(&self) -> Vec<SavedEntry> {
        let read = |number: usize| {
            let text = std::fs::read_to_string(self.entry_file(number)).ok()?;
            let entry: Value = serde_json::from_str(&text).expect("an entry");
            let field = |name: &str| entry[name].as_str().expect("a field of an entry").to_owned();
            Some(SavedEntry {
                definition: field("definition"),
                scope: field("scope"),
                key: field("key"),
                format: field("format"),
                content: self.directory.join("contents").join(field("content")),
            })
        };
        (0..).map_while(read).collect()
    }

    fn entry_file(&self, number: usize) -> PathBuf {
        self.directory.join("entries").join(format!("{number:06}.json"))
    }

    /// The first of the fingerprints that has an entry in one of the scopes, the first scope with one, and there the newest.
    /// That fingerprints come before scopes is [?].
    pub(super) fn find(
        &self,
        definition: &str,
        scopes: &[String],
        wanted: &[Fingerprint],
    ) -> Result<Option<Found>, String> {
        if self.faults().lookup {
            return Err("The service does not answer.".to_owned());
        }
        let entries = self.entries();
        for fingerprint in wanted {
            for scope in scopes {
                let is_meant = |entry: &&SavedEntry| {
                    let segments: Vec<String> = entry.key.split('|').map(str::to_owned).collect();
                    entry.definition == definition && entry.scope == *scope && fingerprint.matches(&segments)
                };
                if let Some(entry) = entries.iter().rev().find(is_meant) {
                    return Ok(Some(Found {
                        fingerprint: Fingerprint {
                            segments: entry.key.split('|').map(str::to_owned).collect(),
                        },
                        scope: entry.scope.clone(),
                        format: Format::parse(&entry.format).expect("a format"),
                        content: entry.content.clone(),
                    }));
                }
            }
        }
        Ok(None)
    }

    /// After how many bytes downloads break.
    pub(super) fn download_limit(&self) -> Option<u64> {
        self.faults().download_after
    }

    /// Takes the content of an entry to come; its name in the service.
    pub(super) fn upload(&self, from: &Path, format: Format) -> Result<String, String> {
        if self.faults().upload {
            return Err("The upload failed after 3 tries.".to_owned());
        }
        let name = guid();
        let content = self.directory.join("contents").join(&name);
        match format {
            Format::SingleTar => {
                std::fs::copy(from, &content).map_err(|error| format!("{}: {error}", from.display()))?;
            }
            Format::Files => files::copy(from, &content, None)?,
        }
        Ok(name)
    }

    /// Makes an entry of uploaded content. The first writer of a key in a scope wins.
    pub(super) fn create(
        &self,
        definition: &str,
        scope: &str,
        key: &Fingerprint,
        format: Format,
        content: &str,
    ) -> Result<(), String> {
        if self.faults().create {
            return Err("The entry cannot be created.".to_owned());
        }
        let entries = self.entries();
        let key = key.to_string();
        let is_there =
            |entry: &SavedEntry| entry.definition == definition && entry.scope == scope && entry.key == key;
        if entries.iter().any(is_there) {
            return Err("The entry is there already.".to_owned());
        }
        let entry = json!({
            "definition": definition, "scope": scope, "key": key, "format": format.word(), "content": content,
        });
        std::fs::write(self.entry_file(entries.len()), entry.to_string()).map_err(|error| error.to_string())
    }
}
