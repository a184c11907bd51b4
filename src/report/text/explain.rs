//! Why a lookup misses or hits, for people: the verdict in one sentence, the cure, then the evidence.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::domain::entry::Entry;
use crate::domain::explain::files::FileChanges;
use crate::domain::explain::origin::{KnownLayouts, Origin};
use crate::domain::explain::shape::PartDifference;
use crate::domain::explain::{Answer, Candidate, Cause, GoneParent, Lookup, Question};
use crate::domain::key::Key;
use crate::domain::retention::parents::bases_among;
use crate::domain::retention::usage::Reach;
use crate::domain::retention::{Elapsed, Facts, ScopeState};
use crate::domain::scope::{Scope, Section};
use crate::domain::shown::Shown;
use crate::domain::thin::{self, ThinKey};
use crate::domain::unit::counted;
use crate::domain::written_paths::{CURE, listed};

/// Rows of evidence before the rest is counted.
const ROWS: usize = 10;

/// Names of inputs before the rest is counted.
const NAMES: usize = 3;

/// What is this long and has digits is a digest.
const LONG_DIGEST: usize = 24;

/// Characters of a long digest that are shown.
const SHOWN_OF_DIGEST: usize = 8;

/// Values longer than this are shown by their beginning.
const LONGEST_VALUE: usize = 20;

/// What went into a part of the key: here and not there, and there and not here; each a name with its digest.
pub(crate) type Inputs = BTreeMap<String, (Vec<(String, String)>, Vec<(String, String)>)>;

/// Everything that is known about one lookup.
pub(crate) struct Explained<'a> {
    /// The cache; none for a key that was typed.
    pub cache: Option<&'a str>,
    /// What is looked for.
    pub question: &'a Question,
    /// The answer.
    pub answer: &'a Answer,
    /// The store.
    pub store: &'a str,
    /// What the store holds, where it can be listed.
    pub facts: Option<&'a Facts>,
    /// What entries of other versions can be recognized by.
    pub known_layouts: &'a KnownLayouts,
    /// What went into the parts that differ, where it is known.
    pub inputs: Inputs,
    /// What would allow a fuller answer.
    pub untold: Option<&'a str>,
    /// How the files here differ from those of the entry that is found, where that was asked for and can be told.
    pub files: Option<FileChanges>,
}

impl Explained<'_> {
    /// The verdict, in one sentence without a full stop.
    pub(crate) fn verdict(&self) -> String {
        let found = self.answer.found.as_ref();
        match (self.answer.result, found) {
            (Lookup::Hit, Some(entry)) => {
                let not_restored = match &self.answer.cause {
                    Some(_) => format!("; {}", self.cause()),
                    None => String::new(),
                };
                let dated = self.dated(entry);
                format!("hits exactly: `{}` of {}, {dated}{not_restored}", name(entry), entry.scope)
            }
            (Lookup::Partial, Some(entry)) => format!(
                "hits by prefix: `{}` of {} is restored; `{}` itself misses: {}",
                name(entry),
                entry.scope,
                short(&self.question.key),
                self.cause()
            ),
            _ => format!("misses: {}", self.cause()),
        }
    }

    fn dated(&self, entry: &Entry) -> String {
        let size = sizes(entry);
        match self.facts {
            Some(facts) => {
                let saved = Elapsed::between(entry.created_at, facts.now);
                match bases_among(&facts.entries.iter().collect::<Vec<_>>()).get(&entry.id) {
                    Some(base) => format!("{size} on `{}`, saved {saved} ago", name(base)),
                    None => format!("{size}, saved {saved} ago"),
                }
            }
            None => size,
        }
    }

    fn cause(&self) -> String {
        let Some(cause) = &self.answer.cause else { return String::new() };
        let witness = self.answer.witness.as_ref();
        match (cause, witness) {
            (Cause::Version, Some(entry)) => {
                let beside =
                    if self.reads(entry) { String::new() } else { format!("; and {}", self.whose(entry)) };
                format!(
                    "the version differs: `{}` is there, {}{beside}",
                    name(entry),
                    self.origin(entry).unwrap_or_else(|| {
                        "saved from other paths, with another compression, or by another tool".to_owned()
                    })
                )
            }
            (Cause::Paths { theirs, own }, Some(entry)) => format!(
                "the paths differ: `{}` is there, but was saved from {}, and this cache is {}",
                name(entry),
                listed(theirs),
                listed(own)
            ),
            (Cause::Scope, Some(entry)) => {
                format!("the scope differs: `{}` is there, but {}", name(entry), self.whose(entry))
            }
            (Cause::KeyPart(parts), Some(entry)) => {
                let compared = if self.answer.found.is_some() {
                    String::new()
                } else {
                    format!(" from the nearest entry, `{}`", name(entry))
                };
                let parts: Vec<String> = parts.iter().map(|part| self.part(part)).collect();
                format!("the key differs{compared}: {}", parts.join("; "))
            }
            (Cause::Spelling, Some(entry)) => {
                format!("the key differs in letter case or space only: `{}` is there", name(entry))
            }
            (Cause::Evicted { remembered, why }, _) => format!(
                "`{}` is not there any more: it was {} here at {}; {why}",
                short(&remembered.key),
                if remembered.saved { "saved" } else { "restored" },
                remembered.at.format("%Y-%m-%d %H:%M UTC"),
            ),
            (Cause::ParentGone { is_base, parent }, Some(entry)) => gone_parent(entry, *is_base, parent),
            (Cause::Denied(why), _) => format!("this job may not read the store: {why}"),
            (Cause::Unavailable(why), _) => format!(
                "the store finds no entry that this job may read; whether other scopes, versions or keys have one \
                 cannot be told: {why}"
            ),
            (_, nearest) => {
                let nearest =
                    nearest.map(|entry| format!("; the most alike is `{}` of {}", name(entry), entry.scope));
                format!("nothing like it is in {}{}", self.store, nearest.unwrap_or_default())
            }
        }
    }

    fn reads(&self, entry: &Entry) -> bool {
        self.question.scopes.contains(&entry.scope)
    }

    /// Whose an entry is that the job does not read.
    fn whose(&self, entry: &Entry) -> String {
        let state = self.facts.map(|facts| facts.scope_state(&entry.scope));
        let detail = match &state {
            Some(state @ ScopeState::PullRequest { .. }) if state.unknown().is_none() => {
                format!(" ({state})")
            }
            _ => String::new(),
        };
        let readers = match state.as_ref().map(Reach::of) {
            Some(Reach::NoJob) => "no job reads any more".to_owned(),
            _ if *entry.scope.section() == Section::Old => {
                "was saved before stores kept repositories apart, and is not restored by itself".to_owned()
            }
            _ if entry.scope.section() != &Section::Own => "this cache does not read".to_owned(),
            _ if entry.scope.is_pull_request() => "only jobs of that pull request read".to_owned(),
            _ => "only jobs of that ref and of pull requests into it read".to_owned(),
        };
        format!("only in {}{detail}, which {readers}", entry.scope)
    }

    fn origin(&self, entry: &Entry) -> Option<String> {
        Some(match self.known_layouts.origin(&entry.version)? {
            Origin::Gzip => "compressed with gzip: the machine that saved it has no zstd".to_owned(),
            Origin::WindowsOnly => "saved on Windows without cross-OS archives".to_owned(),
            Origin::Roots(count) => format!("saved when the cache had {count} root(s)"),
            Origin::Cache(name) => format!("but it is an entry of the cache `{name}`"),
            Origin::Paths { paths, gzip, windows } => {
                let compressed = if gzip { ", with gzip" } else { "" };
                let on = if windows { ", on Windows" } else { "" };
                format!("saved by actions/cache under `{}` itself{compressed}{on}", paths.join("`, `"))
            }
        })
    }

    fn part(&self, part: &PartDifference) -> String {
        let name = if part.part.starts_with('{') { format!("`{}`", part.part) } else { part.part.clone() };
        match self.inputs.get(&part.part) {
            Some((come, gone)) => format!("{name} differs: {}", changes(come, gone)),
            None => format!("{name} is {} here and {} there", value(&part.here), value(&part.there)),
        }
    }

    /// What can be done about an entry in a scope that the job does not read.
    fn how_to_read(&self, default: &str) -> String {
        let Some(entry) = &self.answer.witness else {
            return format!("let a job on {default} save this key: every job reads what is saved there");
        };
        match entry.scope.section() {
            Section::Old => "restore it with `cachekeep restore --adopt` if this repository saved it".to_owned(),
            Section::Shared | Section::Other(_) => {
                "let a job of this repository save this key: only caches with `shared = true` restore what others saved"
                    .to_owned()
            }
            Section::Own if self.facts.is_some_and(|facts| facts.default_branch == entry.scope) => {
                format!("say which branch is the default one: `--default-ref {}`", entry.scope)
            }
            Section::Own => {
                format!("let a job on {default} save this key: every job reads what is saved there")
            }
        }
    }

    /// What can be done about it.
    pub(crate) fn hint(&self) -> Option<String> {
        let default = self.facts.map_or("the default branch", |facts| facts.default_branch.as_str());
        Some(match self.answer.cause.as_ref()? {
            Cause::Version => match self.answer.witness.as_ref().and_then(|w| self.known_layouts.origin(&w.version)) {
                Some(Origin::Gzip) => "install zstd on the machine that saves".to_owned(),
                Some(Origin::WindowsOnly) => "set `enableCrossOsArchive: true` where it is saved".to_owned(),
                Some(Origin::Cache(_)) => "begin the key of each cache with a word of its own".to_owned(),
                Some(Origin::Paths { .. }) => {
                    "save it with cachekeep once; an entry of actions/cache fits only its own paths".to_owned()
                }
                Some(Origin::Roots(_)) | None => {
                    "the next save from this configuration makes an entry that fits; `clean` removes the others".to_owned()
                }
            },
            Cause::Paths { .. } => CURE.to_owned(),
            Cause::Scope => self.how_to_read(default),
            Cause::KeyPart(parts) if self.answer.found.is_none() => {
                let prefix = self.common_beginning(parts);
                match prefix.filter(|prefix| !prefix.is_empty()) {
                    Some(prefix) => format!("`restore-keys = [\"{prefix}\"]` would fall back to it"),
                    None => "compare the key with the one of the job that saves: `cachekeep key`".to_owned(),
                }
            }
            Cause::KeyPart(parts) if !self.inputs.is_empty() || parts.iter().any(|p| changes_by_itself(&p.part)) => {
                "nothing to do: the next save makes an entry of this key".to_owned()
            }
            Cause::KeyPart(_) => {
                "if it should be the same, run `cachekeep key --json` in the job that saves, and \
                 `cachekeep explain --diff FILE` here: it names the files"
                    .to_owned()
            }
            Cause::Spelling => "write it alike in every job: keys are compared byte by byte".to_owned(),
            Cause::Evicted { .. } if self.facts.is_none_or(|facts| facts.limit.is_none()) => {
                "save it again; `[clean] protect` keeps `clean` from an entry".to_owned()
            }
            Cause::Evicted { .. } => {
                "`cachekeep usage` shows what takes the room, `[clean] protect` keeps `clean` from an entry, and a \
                 scheduled job that restores it keeps it in use"
                    .to_owned()
            }
            Cause::ParentGone { .. } => "nothing to do: the next save is a full one".to_owned(),
            Cause::Denied(_) => match self.untold {
                Some(hint) => hint.to_owned(),
                None => "see `cachekeep doctor`; `cache-mode` in the workflow and the kind of event decide".to_owned(),
            },
            Cause::NothingSaved => {
                format!("let a job with `role = \"writer\"` save it, best on {default}: every job reads that")
            }
            Cause::Unavailable(_) => self.untold.unwrap_or("give the step a token that may list caches").to_owned(),
        })
    }

    /// What the key and the nearest entry begin with in common, up to the part that differs.
    fn common_beginning(&self, parts: &[PartDifference]) -> Option<&str> {
        let witness = thin::saved_for(&self.answer.witness.as_ref()?.key);
        let witness = witness.as_str();
        let own = self.question.key.as_str();
        let same = own.char_indices().zip(witness.chars()).find(|((_, a), b)| a != b);
        let common = &own[..same.map_or(own.len().min(witness.len()), |((at, _), _)| at)];
        // Digests may begin alike: the prefix ends where the part begins.
        let begin = parts.first().filter(|part| !part.here.is_empty()).and_then(|part| own.find(&part.here));
        Some(&common[..begin.map_or(common.len(), |begin| begin.min(common.len()))])
    }
}

/// Why a thin entry that is found cannot be restored.
fn gone_parent(entry: &Entry, is_base: bool, parent: &GoneParent) -> String {
    let what = if is_base { "its base" } else { "an entry that it takes content from" };
    let found = format!("the thin entry `{}` of {} is found, but {what}", name(entry), entry.scope);
    match parent {
        GoneParent::Unknown { id } => format!("{found} (`{id}`) is not there any more"),
        GoneParent::Remembered { remembered, why } => {
            let verb = if remembered.saved { "saved" } else { "restored" };
            let at = remembered.at.format("%Y-%m-%d %H:%M UTC");
            format!(
                "{found}, `{}`, is not there any more: it was {verb} here at {at}; {why}",
                short(&remembered.key)
            )
        }
    }
}

/// The key that an entry was saved for, short enough to compare by eye.
fn name(entry: &Entry) -> String {
    short(&thin::saved_for(&entry.key))
}

/// The size of an entry; of a thin one that of its whole tree as well.
fn sizes(entry: &Entry) -> String {
    match ThinKey::parse(&entry.key) {
        Some(thin) => format!("{} of {}", entry.size, thin.whole()),
        None => entry.size.to_string(),
    }
}

/// Whether a placeholder has another value in every commit or run, by design.
fn changes_by_itself(part: &str) -> bool {
    matches!(part, "{sha}" | "{run-id}" | "{run-attempt}")
}

/// A key, short enough to compare by eye: long digests are shown by their beginning.
fn short(key: &Key) -> String {
    let mut shown = String::new();
    for segment in key.as_str().split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let word = segment.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        if word.len() >= LONG_DIGEST && word.bytes().any(|b| b.is_ascii_digit()) {
            shown.extend([&word[..SHOWN_OF_DIGEST], "…", &segment[word.len()..]]);
        } else {
            shown.push_str(segment);
        }
    }
    shown
}

fn value(text: &str) -> String {
    if text.is_empty() {
        return "nothing".to_owned();
    }
    let shown: String = text.chars().take(LONGEST_VALUE).collect();
    let cut = if shown.len() < text.len() { "…" } else { "" };
    format!("`{shown}{cut}`")
}

/// `2 came (a, b), 1 went (c)`; a name on both sides has changed.
fn changes(come: &[(String, String)], gone: &[(String, String)]) -> String {
    let is_in = |list: &[(String, String)], name: &str| list.iter().any(|(other, _)| other == name);
    let (changed, come): (Vec<&str>, Vec<&str>) =
        come.iter().map(|(name, _)| name.as_str()).partition(|name| is_in(gone, name));
    let gone: Vec<&str> =
        gone.iter().map(|(name, _)| name.as_str()).filter(|name| !changed.contains(name)).collect();
    let told = [(changed, "changed"), (come, "added"), (gone, "removed")];
    let list = |(names, verb): &(Vec<&str>, &str)| {
        let more = if names.len() > NAMES { ", …" } else { "" };
        format!("{} {verb} ({}{more})", names.len(), names[..names.len().min(NAMES)].join(", "))
    };
    told.iter().filter(|(names, _)| !names.is_empty()).map(list).collect::<Vec<_>>().join(", ")
}

/// All of it as text.
pub(crate) fn render(explained: &[Explained<'_>]) -> String {
    let mut text = String::new();
    for (index, one) in explained.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        let name = one.cache.map_or_else(|| format!("`{}`", one.question.key), str::to_owned);
        let _ = writeln!(text, "{name} {}", one.verdict());
        if let Some(hint) = one.hint() {
            let _ = writeln!(text, "  hint: {hint}");
        }
        text.push('\n');
        asked(&mut text, one);
        table(&mut text, one);
        if let Some(changes) = &one.files {
            files(&mut text, changes);
        }
    }
    text
}

/// How the files differ, by their paths.
fn files(text: &mut String, changes: &FileChanges) {
    let FileChanges { changed, added, removed, same } = changes;
    let _ = writeln!(
        text,
        "\n  {} as in the entry, {} changed, {} only here, {} only in the entry",
        counted(*same, "file"),
        changed.len(),
        added.len(),
        removed.len()
    );
    for (sign, names) in [("~", changed), ("+", added), ("-", removed)] {
        for name in names.iter().take(ROWS) {
            let _ = writeln!(text, "  {sign} {}", Shown::value(name).into_string());
        }
        if names.len() > ROWS {
            let _ = writeln!(text, "  {sign} and {} more", names.len() - ROWS);
        }
    }
}

fn asked(text: &mut String, one: &Explained<'_>) {
    let list = |items: Vec<&str>| items.join(", ");
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<12} {value}");
    };
    line("key", one.question.key.as_str());
    if !one.question.restore_keys.is_empty() {
        line("restore keys", &list(one.question.restore_keys.iter().map(Key::as_str).collect()));
    }
    line("version", one.question.version.as_ref().map_or("any", |version| version.as_str()));
    line("reads", &list(one.question.scopes.iter().map(Scope::as_str).collect()));
    let count =
        one.facts.map_or_else(String::new, |facts| format!(", {}", counted(facts.entries.len(), "entry")));
    line("store", &format!("{}{count}", one.store));
}

fn table(text: &mut String, one: &Explained<'_>) {
    if one.answer.candidates.is_empty() {
        return;
    }
    let mut rows = vec![["entry", "ref", "saved", "size", "differs"].map(str::to_owned)];
    rows.extend(one.answer.candidates.iter().take(ROWS).map(|candidate| row(candidate, one)));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 5] = std::array::from_fn(width);
    text.push('\n');
    for row in &rows {
        let mut line = String::from(" ");
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(line, " {cell:<width$} ");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    if let Some(more) = one.answer.candidates.len().checked_sub(ROWS).filter(|more| *more > 0) {
        let _ = writeln!(text, "  and {more} more");
    }
}

fn row(candidate: &Candidate, one: &Explained<'_>) -> [String; 5] {
    let entry = &candidate.entry;
    let saved = one.facts.map_or_else(
        || entry.created_at.format("%Y-%m-%d").to_string(),
        |facts| format!("{} ago", Elapsed::between(entry.created_at, facts.now)),
    );
    let differs = candidate.differing.names();
    let differs = if differs.is_empty() {
        if one.answer.found.as_ref() == Some(entry) { "- (restored)".to_owned() } else { "-".to_owned() }
    } else {
        differs.join(", ")
    };
    [name(entry), entry.scope.to_string(), saved, sizes(entry), differs]
}
