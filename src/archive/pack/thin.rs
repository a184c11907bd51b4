//! Thin archives: a list of the whole tree, and a stream with what no earlier archive has.

use std::collections::{HashMap, HashSet};

use tokio_util::sync::CancellationToken;

use super::plan::{self, Layout, NewFile, Totals};
use super::survey::{Survey, SurveyedFile};
use super::{ArchiveOutput, Cutting, KnownList, PackOutput, PackRequest, Packed, frame_bytes, frames};
use crate::archive::format::error::ArchiveError;
use crate::archive::format::list::{Extent, Row, RowKind};
use crate::archive::format::manifest::{Manifest, Parent};
use crate::archive::format::version::FORMAT;
use crate::archive::read::listing::{Frames, Listing};
use crate::archive::read::scatter::{ReadPlan, WantedContent};
use crate::domain::digest::Sha256Digest;
use crate::domain::event::Meter;
use crate::domain::thin::{Growth, MOST_PARENTS};
use crate::tree::walk::Item;

/// What contents are filled up to in the tar stream, in bytes.
const BLOCK: u64 = 512;

/// Bytes of the headers of a file: one, and a record with a time in nanoseconds, which has a header as well.
const HEADERS: u64 = 3 * BLOCK;

/// An archive whose contents a thin one can take.
pub struct Base<'a> {
    /// What a thin archive says of it.
    pub parent: Parent,
    /// Its list.
    pub listing: &'a Listing,
    /// The frames of its own parents, in their order; none of one that holds all of its content.
    pub frames: &'a [Frames],
}

/// A tree divided into what earlier archives have and what is new.
#[derive(Debug)]
pub struct Division {
    survey: Survey,
    /// Which of its files are packed, each content once.
    new: Vec<usize>,
    parents: Vec<Parent>,
    growth: Growth,
}

impl Division {
    /// The archives that content is taken from, the base first.
    pub fn parents(&self) -> &[Parent] {
        &self.parents
    }

    /// How the tree has grown since its base.
    pub fn growth(&self) -> &Growth {
        &self.growth
    }
}

/// Divides a tree by the list of an earlier archive.
///
/// # Errors
/// That list contradicts itself.
pub fn divide(mut survey: Survey, base: &Base<'_>) -> Result<Division, ArchiveError> {
    let known = KnownContents::of(base)?;
    let kept = known.kept(&survey);
    let Survey { rows, files, .. } = &mut survey;
    let (mut new, mut packed) = (Vec::new(), HashSet::new());
    let (mut used, mut new_bytes) = (Vec::new(), 0_u64);
    for (index, file) in files.iter().enumerate() {
        let RowKind::File { size, content, extents } = &mut rows[file.row].kind else { continue };
        let there = known.place(content, *size).and_then(|extent| {
            let segment = kept.get(usize::try_from(extent.segment).ok()?).copied().flatten()?;
            Some(Extent { segment, ..extent })
        });
        match there {
            Some(extent) => {
                used.push((extent, *content));
                *extents = vec![extent];
            }
            // Its place is known once the stream is laid out.
            None if packed.insert(*content) => {
                new.push(index);
                new_bytes += in_stream(*size);
            }
            None => {}
        }
    }
    let parents: Vec<Parent> = known
        .parents
        .into_iter()
        .zip(&kept)
        .filter(|(_, kept)| kept.is_some())
        .map(|(parent, _)| parent)
        .collect();
    let frames: Vec<&Frames> =
        known.frames.into_iter().zip(&kept).filter_map(|(frames, kept)| kept.and(Some(frames))).collect();
    let growth = growth(&survey, new_bytes, used, &parents, &frames)?;
    Ok(Division { survey, new, parents, growth })
}

/// Bytes that a file takes in a tar stream.
fn in_stream(size: u64) -> u64 {
    HEADERS + size.next_multiple_of(BLOCK)
}

/// What an earlier archive and its parents have.
struct KnownContents<'a> {
    /// Where the contents lie; the base is 0.
    contents: HashMap<(Sha256Digest, u64), Extent>,
    parents: Vec<Parent>,
    frames: Vec<&'a Frames>,
}

impl<'a> KnownContents<'a> {
    fn of(base: &Base<'a>) -> Result<Self, ArchiveError> {
        let earlier = &base.listing.manifest.parents;
        let own = earlier.len() as u64;
        let parents = earlier.iter().chain([&base.parent]).cloned().collect();
        let frames = base.frames.iter().chain([base.listing.frames()]).collect();
        let mut contents = HashMap::new();
        for row in base.listing.rows() {
            let RowKind::File { size, content, extents } = row?.kind else { continue };
            let [extent] = extents[..] else { continue };
            let segment = extent.segment.checked_sub(1).unwrap_or(own);
            contents.entry((content, size)).or_insert(Extent { segment, ..extent });
        }
        Ok(KnownContents { contents, parents, frames })
    }

    fn place(&self, content: &Sha256Digest, size: u64) -> Option<Extent> {
        self.contents.get(&(*content, size)).copied()
    }

    /// The segments that the archives have in the list of a thin one; `None` for those that are not worth a lookup: of which less
    /// than half is used. The base always stays.
    fn kept(&self, survey: &Survey) -> Vec<Option<u64>> {
        let mut live: Vec<HashMap<u64, u64>> = vec![HashMap::new(); self.parents.len()];
        for file in &survey.files {
            let RowKind::File { size, content, .. } = &survey.rows[file.row].kind else { continue };
            let Some(extent) = self.place(content, *size) else { continue };
            if let Some(live) = usize::try_from(extent.segment).ok().and_then(|segment| live.get_mut(segment))
            {
                live.insert(extent.offset, in_stream(*size));
            }
        }
        let live: Vec<u64> = live.iter().map(|contents| contents.values().sum()).collect();
        let is_worth = |index: usize| index == 0 || live[index] * 2 >= self.parents[index].stream_bytes;
        let worth: Vec<bool> = (0..self.parents.len()).map(is_worth).collect();
        let are_few = worth.iter().filter(|worth| **worth).count() <= MOST_PARENTS;
        let mut next = 0;
        let mut number = |(index, worth): (usize, bool)| {
            (worth && (are_few || index == 0)).then(|| {
                next += 1;
                next
            })
        };
        worth.into_iter().enumerate().map(&mut number).collect()
    }
}

/// How a tree has grown, and what a restore would read of its parents, whose segments count from 1.
fn growth(
    survey: &Survey,
    new: u64,
    mut used: Vec<(Extent, Sha256Digest)>,
    parents: &[Parent],
    frames: &[&Frames],
) -> Result<Growth, ArchiveError> {
    used.sort_by_key(|(extent, _)| (extent.segment, extent.offset));
    used.dedup();
    let mut live = vec![0_u64; parents.len()];
    let mut wanted = Vec::with_capacity(used.len());
    for (extent, digest) in used {
        let segment = extent.segment - 1;
        if let Some(live) = usize::try_from(segment).ok().and_then(|segment| live.get_mut(segment)) {
            *live += in_stream(extent.length);
        }
        wanted.push(WantedContent { extent: Extent { segment, ..extent }, digest, rows: Vec::new() });
    }
    let stored = |(parent, live): (&Parent, &u64)| scaled(*live, parent);
    let read = ReadPlan::of(&wanted, frames)?.bytes();
    let base = parents.first();
    Ok(Growth {
        whole: base.map_or(0, |base| scaled(survey.stream_bytes(), base)),
        new: base.map_or(0, |base| scaled(new, base)),
        in_base: base.map_or(0, |base| scaled(live[0], base)),
        elsewhere: parents.iter().zip(&live).skip(1).map(stored).sum(),
        read,
        base: base.map_or(0, |base| base.archive_bytes),
    })
}

/// Bytes of an archive that hold so many bytes of its stream.
fn scaled(bytes: u64, parent: &Parent) -> u64 {
    let scaled =
        u128::from(bytes) * u128::from(parent.archive_bytes) / u128::from(parent.stream_bytes.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// Packs a thin archive: the list of a surveyed tree, and the contents that are new.
///
/// A file that changes after it was surveyed is an error. After an error the output holds the beginning of an archive, which
/// readers refuse as damaged.
pub fn pack_thin(
    request: &PackRequest<'_>,
    division: Division,
    out: impl ArchiveOutput,
    cancel: &CancellationToken,
    meter: &Meter,
) -> Result<Packed, ArchiveError> {
    let Division { mut survey, new, parents, .. } = division;
    let mut places = Places::default();
    let own = plan::lay_out_files(&new_files(&survey, &new), &mut places, cancel)?;
    let new_rows: Vec<usize> = new.iter().map(|index| survey.files[*index].row).collect();
    enter_places(&mut survey.rows, &new_rows, places.0);
    let files = new_files(&survey, &new);
    let Totals { counts, unpacked_bytes, .. } = survey.totals;
    let manifest = Manifest {
        format: FORMAT,
        producer: request.producer.to_owned(),
        cache: request.cache.to_owned(),
        roots: survey.roots.clone(),
        counts,
        unpacked_bytes,
        stream_bytes: own.stream_bytes,
        frame_bytes: frame_bytes(own.stream_bytes),
        parents,
    };
    let known = KnownList { rows: &survey.rows, new: new_rows.iter() };
    let mut output = PackOutput::new(out, &manifest, Some(known))?;
    let cutting = Cutting {
        lay_out: &|layout, cancel| plan::lay_out_files(&files, layout, cancel),
        root: &request.selections[0].root,
        expected: &own,
        frame_bytes: manifest.frame_bytes as usize,
        is_listed: true,
    };
    frames(request, &cutting, &mut output, cancel, meter)?;
    let (archive_bytes, digest) = output.seal()?;
    let Totals { skipped, skipped_count, missing: missing_roots, .. } = survey.totals;
    Ok(Packed { manifest, archive_bytes, digest, skipped, skipped_count, missing_roots })
}

fn new_files<'a>(survey: &'a Survey, new: &[usize]) -> Vec<NewFile<'a>> {
    let file = |index: &usize| {
        let SurveyedFile { row, root, item } = &survey.files[*index];
        NewFile { root, name: &survey.rows[*row].name, item }
    };
    new.iter().map(file).collect()
}

/// Enters where new contents lie into all rows that have them; those of `new` have the places in the same order.
fn enter_places(rows: &mut [Row], new: &[usize], places: Vec<Extent>) {
    let mut found = HashMap::new();
    for (index, place) in new.iter().zip(places) {
        if let RowKind::File { content, .. } = &rows[*index].kind {
            found.insert(*content, place);
        }
    }
    for row in rows {
        if let RowKind::File { size: 1.., content, extents } = &mut row.kind
            && extents.iter().all(|extent| extent.segment == 0)
            && let Some(place) = found.get(content)
        {
            *extents = vec![*place];
        }
    }
}

/// Where the contents of a stream lie.
#[derive(Default)]
struct Places(Vec<Extent>);

impl Layout for Places {
    fn is_listed(&self) -> bool {
        true
    }

    fn file(&mut self, _: &std::path::Path, _: &Item, row: Option<Row>) -> Result<(), ArchiveError> {
        if let Some(Row { kind: RowKind::File { extents, .. }, .. }) = row {
            self.0.extend(extents);
        }
        Ok(())
    }
}
