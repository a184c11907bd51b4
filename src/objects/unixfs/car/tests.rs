//! CARs give the file or an error, whatever is done to them.

use std::io::Cursor;

use super::*;
use crate::objects::unixfs::Leaves;
use crate::objects::unixfs::sample::{Dag, Dice};

fn unpacked(car: &[u8], root: BlockId) -> Result<Vec<u8>, DagError> {
    let mut output = Cursor::new(Vec::new());
    let bytes = unpack(&mut &car[..], root, &mut output, 1 << 20, &CancellationToken::new())?;
    assert_eq!(bytes, output.get_ref().len() as u64);
    Ok(output.into_inner())
}

fn samples() -> Vec<Dag> {
    let mut dice = Dice(11);
    let content = dice.bytes(2000);
    let repeated: Vec<u8> = content[..100].iter().copied().cycle().take(2000).collect();
    vec![
        Dag::balanced(&content[..1], 100, 4, Leaves::DagPb),
        Dag::balanced(&content, 100, 4, Leaves::Raw),
        Dag::balanced(&content, 90, 3, Leaves::DagPb),
        Dag::balanced(&repeated, 100, 4, Leaves::Raw),
        Dag::balanced(&repeated, 50, 2, Leaves::DagPb),
        Dag::irregular(&content, &mut dice),
        Dag::irregular(&repeated, &mut dice),
    ]
}

#[test]
fn a_whole_car_gives_the_file_with_repeated_blocks_or_without() {
    for (index, dag) in samples().iter().enumerate() {
        for again in [false, true] {
            let content =
                unpacked(&dag.car(again), dag.root).unwrap_or_else(|error| panic!("{index}: {error}"));
            assert_eq!(content, dag.content, "{index}");
        }
    }
    let mut dice = Dice(5);
    for _ in 0..100 {
        let bytes = 1 + dice.below(3000);
        let content = dice.bytes(bytes);
        let dag = Dag::irregular(&content, &mut dice);
        assert_eq!(unpacked(&dag.car(false), dag.root).unwrap(), content);
    }
}

#[test]
fn a_raw_root_is_a_car_of_one_block() {
    let dag = Dag::balanced(b"some bytes", 100, 4, Leaves::Raw);
    assert_eq!(dag.root.codec, CidCodec::Raw);
    assert_eq!(unpacked(&dag.car(false), dag.root).unwrap(), b"some bytes");
}

#[test]
fn a_car_that_ends_early_is_refused_wherever_it_ends() {
    for dag in samples() {
        let car = dag.car(false);
        for length in (0..car.len()).step_by(13) {
            assert!(unpacked(&car[..length], dag.root).is_err(), "{length}");
        }
    }
}

#[test]
fn an_end_between_blocks_is_told_from_one_within() {
    for dag in samples() {
        let car = dag.car(false);
        let mut end = header(dag.root).len();
        let mut input = &car[..];
        let mut blocks = Blocks::open(&mut input).unwrap();
        while let Some((block, bytes)) = blocks.next().unwrap() {
            let found = unpacked(&car[..end], dag.root);
            assert!(matches!(found, Err(DagError::Incomplete(next)) if next == block), "{found:?}");
            let found = unpacked(&[&car[..end], &[200]].concat(), dag.root);
            assert!(matches!(found, Err(DagError::NotCar("it ends within a length"))), "{found:?}");
            end += section(block, &bytes).len();
        }
        assert_eq!(end, car.len());
    }
}

#[test]
fn any_flipped_bit_is_refused_or_changes_nothing() {
    let mut dice = Dice(3);
    let mut accepted = 0;
    for dag in samples() {
        let car = dag.car(false);
        for _ in 0..800 {
            let mut bad = car.clone();
            let at = dice.below(bad.len());
            bad[at] ^= 1 << dice.below(8);
            if let Ok(content) = unpacked(&bad, dag.root) {
                assert_eq!(content, dag.content, "byte {at}");
                // Only the kind of root that the header names is not needed.
                assert!(at < header(dag.root).len(), "byte {at}");
                accepted += 1;
            }
        }
    }
    assert!(accepted < 150, "{accepted}");
}

#[test]
fn random_damage_never_gives_another_file() {
    let mut dice = Dice(4);
    for dag in samples() {
        let car = dag.car(true);
        for _ in 0..500 {
            let mut bad = car.clone();
            for _ in 0..=dice.below(4) {
                let (from, to) = (dice.below(bad.len()), dice.below(bad.len()));
                let count = dice.below(60).min(bad.len() - from.max(to));
                match dice.below(3) {
                    0 => drop(bad.drain(from..from + count)),
                    1 => bad.copy_within(from..from + count, to),
                    _ => drop(bad.splice(from..from, dice.bytes(count))),
                }
                if bad.is_empty() {
                    bad.push(0);
                }
            }
            if let Ok(content) = unpacked(&bad, dag.root) {
                assert_eq!(content, dag.content);
            }
        }
    }
}

#[test]
fn blocks_out_of_order_and_strangers_are_refused() {
    let dag = &samples()[1];
    let stranger = Dag::balanced(b"stranger", 100, 4, Leaves::Raw);
    let extra = section(stranger.root, b"stranger");
    let car = dag.car(false);
    let after = [&car[..], &extra].concat();
    assert!(matches!(unpacked(&after, dag.root), Err(DagError::Unexpected { expected: None, .. })));
    let start = header(dag.root);
    let before = [&start[..], &extra, &car[start.len()..]].concat();
    assert!(matches!(unpacked(&before, dag.root), Err(DagError::Unexpected { expected: Some(_), .. })));
    assert!(matches!(unpacked(&car, stranger.root), Err(DagError::NotCar("its root is another"))));
    // A header that names no root is as good: what counts is the root that was asked for.
    let bare = [&b"\x11\xa2\x65roots\x80\x67version\x01"[..], &car[start.len()..]].concat();
    assert_eq!(unpacked(&bare, dag.root).unwrap(), dag.content);
    assert!(unpacked(b"\x0a\xa1\x67version\x02", dag.root).is_err());
    assert!(unpacked(b"<html>", dag.root).is_err());
    assert!(unpacked(&[0xff; 64], dag.root).is_err());
}

#[test]
fn nothing_is_written_for_more_than_is_allowed() {
    for dag in samples().iter().filter(|dag| dag.content.len() == 2000) {
        let mut output = Cursor::new(Vec::new());
        let car = dag.car(false);
        let result = unpack(&mut &car[..], dag.root, &mut output, 1999, &CancellationToken::new());
        assert!(matches!(result, Err(DagError::LargeFile { bytes: 2000, allowed: 1999 })));
        assert!(output.get_ref().is_empty());
    }
}

#[test]
fn a_cancelled_car_ends() {
    let cancel = CancellationToken::new();
    cancel.cancel();
    let dag = &samples()[1];
    let result = unpack(&mut &dag.car(false)[..], dag.root, &mut Cursor::new(Vec::new()), 1 << 20, &cancel);
    assert!(matches!(result, Err(DagError::Cancelled(_))));
}
