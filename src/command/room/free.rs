//! Removing what the configuration allows for room, the cheapest first, and no more than is needed.
//!
//! A path must lie below the workspace or the temporary directory, links resolved, and be none itself. Nothing goes that a cache,
//! this program or a running process uses.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use crate::command::cache::{Cache, Sources, expand_one};
use crate::command::context::Context;
use crate::domain::event::Level;
use crate::domain::freeable::{Freeable, Freed, Known, What};
use crate::domain::unit::ByteSize;
use crate::fs::lease::holder::holder_of_directory;
use crate::fs::link;
use crate::fs::remove::{self, remove_tree};
use crate::fs::volume::{self, Need, Volume, volume_of};
use crate::platform::detect::is_hosted;
use crate::platform::programs::{self, Question};
use crate::report::failure;
use crate::tree::size;

/// Whether things are removed, or only listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Free {
    /// They are removed.
    Now,
    /// They are only listed.
    DryRun,
}

/// Makes room for what is needed beside the reserve, as far as `[disk] free` allows.
pub(crate) fn make_room(ctx: &Context<'_>, need: &Need, how: Free) -> Vec<Freed> {
    let mut freed: Vec<Freed> = Vec::new();
    if volume::check_room(std::slice::from_ref(need), ctx.reserve()).is_ok() {
        return freed;
    }
    ctx.room_was_short.store(true, Ordering::Relaxed);
    // The configuration may be a stranger's, in a job that runs with the repository's rights.
    if ctx.disk.free.is_empty() || ctx.grants.trust.is_privileged {
        return freed;
    }
    let Ok(volume) = volume_of(&need.path) else { return freed };
    let mut listed: Vec<&Freeable> = ctx.disk.free.iter().collect();
    listed.sort_by_key(|freeable| freeable.cost());
    for freeable in listed {
        let found: u64 = match how {
            Free::Now => 0,
            Free::DryRun => {
                freed.iter().filter(|freed| freed.blocked.is_none()).map(|freed| freed.bytes).sum()
            }
        };
        let left = Need { bytes: ByteSize(need.bytes.0.saturating_sub(found)), ..need.clone() };
        let is_met = volume::check_room(std::slice::from_ref(&left), ctx.reserve()).is_ok();
        if is_met || ctx.interrupt.signal().is_some() {
            break;
        }
        let maker = RoomMaker { ctx, volume: &volume, how };
        let done = match freeable {
            Freeable::Path(template) => match expand_one(ctx, template, &Sources::default()) {
                Ok(path) => vec![maker.path(&ctx.workspace.join(path))],
                Err(fault) => vec![Some(blocked(template.source(), failure::chain(&fault)))],
            },
            Freeable::Known(known) => maker.known(known),
        };
        for done in done.into_iter().flatten() {
            report(ctx, &done, how);
            freed.push(done);
        }
    }
    if how == Free::Now {
        ctx.note_freed(&freed);
    }
    freed
}

fn blocked(what: &str, why: String) -> Freed {
    Freed { what: what.to_owned(), bytes: 0, blocked: Some(why) }
}

fn report(ctx: &Context<'_>, freed: &Freed, how: Free) {
    let size = ByteSize(freed.bytes);
    match (&freed.blocked, how) {
        (Some(why), _) => {
            let text = format!("`{}` is not removed for room: {why}", freed.what);
            ctx.report_about_job(Level::Warning, text);
        }
        (None, Free::Now) => {
            ctx.report_about_job(Level::Info, format!("removed `{}` for room, {size}", freed.what));
        }
        (None, Free::DryRun) => {
            ctx.report_about_job(Level::Info, format!("would remove `{}` for room, {size}", freed.what));
        }
    }
}

struct RoomMaker<'a> {
    ctx: &'a Context<'a>,
    /// The volume that is short of room.
    volume: &'a Volume,
    how: Free,
}

impl RoomMaker<'_> {
    /// Removes a path; `None` if that would give no room.
    fn path(&self, path: &Path) -> Option<Freed> {
        let shown = path.display().to_string();
        let place = match self.place(path) {
            Ok(place) => place?,
            Err(why) => return Some(blocked(&shown, why)),
        };
        if let Err(why) = self.allow(&place) {
            return Some(blocked(&shown, why));
        }
        self.remove(&place, &shown, remove_tree)
    }

    /// Where a path lies, links above it resolved; `None` if it is not there or on another volume.
    fn place(&self, path: &Path) -> Result<Option<PathBuf>, String> {
        match link::is_link(path) {
            Ok(None) => return Ok(None),
            Ok(Some(false)) => {}
            Ok(Some(true)) => return Err("it is a link".to_owned()),
            Err(error) => return Err(error.to_string()),
        }
        let (Some(parent), Some(name)) = (path.parent().and_then(link::resolved), path.file_name()) else {
            return Err("it has no name of its own".to_owned());
        };
        let place = parent.join(name);
        let is_here = volume_of(&place).is_ok_and(|volume| volume.id == self.volume.id);
        Ok(is_here.then_some(place))
    }

    /// Why a path must stay.
    fn allow(&self, place: &Path) -> Result<(), String> {
        let ctx = self.ctx;
        let resolved = |path: &Path| link::resolved(path).unwrap_or_else(|| path.to_owned());
        let (workspace, temp) = (resolved(ctx.workspace), resolved(ctx.temp));
        let is_below = |root: &Path| place != root && place.starts_with(root);
        if !is_below(&workspace) && !is_below(&temp) {
            return Err("it is not below the workspace or the temporary directory".to_owned());
        }
        if place.components().any(|component| component.as_os_str() == ".git") {
            return Err("it belongs to git".to_owned());
        }
        let touches = |other: &Path| {
            let other = resolved(other);
            other.starts_with(place) || place.starts_with(&other)
        };
        for spec in ctx.caches {
            let roots = Cache::open(ctx, spec).map(|cache| cache.roots()).unwrap_or_default();
            if roots.iter().any(|root| touches(root)) {
                return Err(format!("it holds the cache `{}` or lies in it", spec.name));
            }
        }
        if ctx.own_places().iter().any(|own| touches(own)) {
            return Err("it holds the store or the state of this program".to_owned());
        }
        let holds = |other: &Path| resolved(other).starts_with(place);
        if holds(&ctx.env.current_dir) || holds(&workspace) || holds(&temp) {
            return Err("it is in use".to_owned());
        }
        match holder_of_directory(place, ctx.now) {
            Some(holder) => Err(holder.to_string()),
            None => Ok(()),
        }
    }

    fn remove(
        &self,
        place: &Path,
        shown: &str,
        remove: impl Fn(&Path) -> Result<remove::Removed, remove::RemoveError>,
    ) -> Option<Freed> {
        if self.how == Free::DryRun {
            let bytes = size::allocated_below(place);
            return (bytes > 0).then(|| Freed { what: shown.to_owned(), bytes, blocked: None });
        }
        Some(match remove(place) {
            Ok(removed) => Freed { what: shown.to_owned(), bytes: removed.bytes, blocked: None },
            Err(error) => Freed {
                what: shown.to_owned(),
                bytes: error.removed.bytes,
                blocked: Some(failure::chain(&error)),
            },
        })
    }

    fn known(&self, known: &Known) -> Vec<Option<Freed>> {
        match known.what {
            What::HostedDirectories(directories) => {
                if !is_hosted(self.ctx.env) {
                    let why = "this is not a hosted runner, and it may be the machine's own".to_owned();
                    return vec![Some(blocked(known.name, why))];
                }
                directories
                    .iter()
                    .filter_map(|directory| self.expand(directory))
                    .map(|path| self.hosted(&path))
                    .collect()
            }
            What::Command(words) => vec![self.command(known, words)],
        }
    }

    /// A directory of the table; `None` if its variable is not set, or not to an absolute path.
    fn expand(&self, directory: &str) -> Option<PathBuf> {
        let Some(rest) = directory.strip_prefix('$') else { return Some(PathBuf::from(directory)) };
        let (name, below) = rest.split_once('/')?;
        Some(Path::new(self.ctx.env.var(name)?).join(below)).filter(|path| path.is_absolute())
    }

    /// Removes a directory of the image. Most belong to root, and jobs of hosted runners may become root.
    fn hosted(&self, path: &Path) -> Option<Freed> {
        let place = match self.place(path) {
            Ok(place) => place?,
            Err(why) => return Some(blocked(&path.display().to_string(), why)),
        };
        let shown = path.display().to_string();
        let done = self.remove(&place, &shown, remove_tree)?;
        let Some(why) = &done.blocked else { return Some(done) };
        let Some(sudo) = programs::find(self.ctx.env, "sudo") else { return Some(done) };
        let before = self.free_now();
        let argument = place.to_str()?;
        let words = ["-n", "rm", "-rf", "--one-file-system", "--", argument];
        let asked = self.ask(&sudo, &words);
        if !matches!(link::is_link(&place), Ok(None)) {
            let why = asked.err().unwrap_or_else(|| why.clone());
            return Some(Freed { blocked: Some(why), ..done });
        }
        let bytes = done.bytes + self.free_now().saturating_sub(before);
        Some(Freed { what: shown, bytes, blocked: None })
    }

    /// Has the own command of a tool remove it.
    fn command(&self, known: &Known, words: &[&str]) -> Option<Freed> {
        let (name, arguments) = words.split_first()?;
        let program = programs::find(self.ctx.env, name)?;
        if self.how == Free::DryRun {
            // Only the tool knows how much it is.
            return Some(Freed { what: known.name.to_owned(), bytes: 0, blocked: None });
        }
        let before = self.free_now();
        match self.ask(&program, arguments) {
            Ok(()) => {
                let bytes = self.free_now().saturating_sub(before);
                Some(Freed { what: known.name.to_owned(), bytes, blocked: None })
            }
            Err(why) => Some(blocked(known.name, why)),
        }
    }

    fn ask(&self, program: &Path, arguments: &[&str]) -> Result<(), String> {
        let deadline = self.ctx.deadline();
        let question = Question { program, arguments, variables: &[], directory: self.ctx.workspace };
        let command = format!("`{} {}`", program.display(), arguments.join(" "));
        match question.ask(&deadline.cancel) {
            Ok(answer) if answer.status.success() => Ok(()),
            Ok(answer) => {
                let said = answer.errors.lines().next().unwrap_or("it does not say why").to_owned();
                Err(format!("{command}: {said}"))
            }
            Err(error) => Err(format!("{command}: {error}")),
        }
    }

    fn free_now(&self) -> u64 {
        volume_of(&self.volume.at).map_or(0, |volume| volume.free.0)
    }
}
