//! What was asked for.

use std::path::PathBuf;

use crate::shape::Shape;

/// How to measure.
#[derive(Debug)]
pub(crate) struct Options {
    /// Trees of a size to try it with.
    pub(crate) quick: bool,
    /// Which trees.
    pub(crate) shapes: Vec<Shape>,
    /// Whether blobs lie in Azurite instead of memory.
    pub(crate) azurite: bool,
    /// How often each is saved and restored by each side.
    pub(crate) repeat: usize,
    /// A directory whose directories are generations of one cache, instead of trees.
    pub(crate) generations: Option<PathBuf>,
}

impl Options {
    /// Reads the arguments; none where `cargo test` started this, which has no use for figures.
    pub(crate) fn of(arguments: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut arguments = arguments.peekable();
        let (mut quick, mut azurite, mut shapes) = (false, false, Vec::new());
        let (mut repeat, mut asked, mut generations) = (None, false, None);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} wants a value"));
            match argument.as_str() {
                // What cargo itself gives.
                "--bench" => asked = true,
                "--quick" => quick = true,
                "--azurite" => azurite = true,
                "--generations" => generations = Some(PathBuf::from(value()?)),
                "--shape" => shapes.push(shape(&value()?)?),
                "--repeat" => {
                    let number = value()?.parse().ok().filter(|number| *number > 0);
                    repeat = Some(number.ok_or("--repeat wants a number, 1 or more")?);
                }
                other => {
                    return Err(format!(
                        "unknown argument {other}; there are --quick, --azurite, --shape, --repeat, --generations"
                    ));
                }
            }
        }
        if shapes.is_empty() {
            shapes = Shape::ALL.to_vec();
        }
        let repeat = repeat.unwrap_or(if quick { 1 } else { 5 });
        Ok(asked.then_some(Options { quick, shapes, azurite, repeat, generations }))
    }
}

fn shape(name: &str) -> Result<Shape, String> {
    let known: Vec<&str> = Shape::ALL.iter().map(|shape| shape.name()).collect();
    let found = Shape::ALL.into_iter().find(|shape| shape.name() == name);
    found.ok_or_else(|| format!("there is no shape `{name}`; there are {}", known.join(", ")))
}
