//! The measurement itself: one tree, saved and restored by each side in turn, again and again.

use std::fs;

use crate::options::Options;
use crate::place::Place;
use crate::shape::Shape;
use crate::side::{Job, Side, contents, key, node_is_here, peer_failed};
use crate::table::{Figures, Row, Sample};
use crate::tell;
use crate::watch;
use cachekeep_test_support::github_service::GitHubService;
use cachekeep_test_support::tree::Snapshot;

/// Measures one tree.
pub(crate) fn run(shape: Shape, options: &Options) -> Result<Vec<Row>, String> {
    node_is_here()?;
    let place = Place::new();
    let service = if options.azurite {
        GitHubService::start_with_azurite()
            .map_err(|problem| format!("there is no blob service: {problem}"))?
    } else {
        GitHubService::start()
    };
    let job = Job::new(&place, &service, shape)?;
    let grown = shape.grow(&place.tree(), &place.workspace(), options.quick);
    let tree = contents(&place.tree());
    tell(&format!("{}: {} files, {} bytes", shape.title(), grown.files, grown.bytes));
    if place.volumes.is_none() {
        tell("not root: extra disk is what lies in the temp directory, on whatever disk that is");
    }
    let mut figures = Figures::default();
    for round in 0..options.repeat {
        let mut sides = Side::ALL;
        // The sides take turns at being first.
        sides.rotate_left(round % Side::ALL.len());
        for side in sides {
            measure(&job, &place, &tree, (shape, round, side), &mut figures)?;
        }
    }
    Ok(figures.rows(shape, grown))
}

fn measure(
    job: &Job<'_>,
    place: &Place,
    tree: &Snapshot,
    (shape, round, side): (Shape, usize, Side),
    figures: &mut Figures,
) -> Result<(), String> {
    let key = key(shape, round, side);
    let failed = |verb: &str, why: &str| format!("{side:?} did not {verb} {}: {why}", shape.name());
    place.sweep();
    let (measured, said) =
        watch::run(job.command(side, "save", &key), place).map_err(|e| failed("save", &e))?;
    let archive = job.saved(side, &key).ok_or_else(|| failed("save", &said))?;
    figures.saved(side, Sample { measured, archive });
    tell(&format!("  round {round}, {side:?}: saved in {:.2} s", measured.wall));
    if side != Side::ReadBack {
        let original = place.workspace().join("original");
        fs::rename(place.tree(), &original).map_err(|error| error.to_string())?;
        place.sweep();
        let ran = watch::run(job.command(side, "restore", &key), place);
        let (measured, said) = ran.map_err(|e| failed("restore", &e))?;
        if (side == Side::Peer && peer_failed(&said)) || contents(&place.tree()) != *tree {
            return Err(failed("restore", &format!("the tree is another one; it said:\n{said}")));
        }
        figures.restored(side, Sample { measured, archive });
        tell(&format!("  round {round}, {side:?}: restored in {:.2} s", measured.wall));
        fs::remove_dir_all(place.tree()).map_err(|error| error.to_string())?;
        fs::rename(&original, place.tree()).map_err(|error| error.to_string())?;
    }
    job.delete(side, &key);
    Ok(())
}
