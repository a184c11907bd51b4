//! Trees and patterns on which a digest of files can go wrong.

/// A tree by its files and links, and lists of patterns to try on it. A name that ends in `/` is an empty
/// directory, one with ` -> ` a link.
pub(crate) type Tree = (&'static [&'static str], &'static [&'static [&'static str]]);

const EVERYTHING: &[&str] = &["**"];

/// The trees, each made for a trap.
pub(crate) const TREES: &[Tree] = &[
    // Order: `a/` before `a-x/` and `a.lock`, though `-` and `.` come before `/`.
    (&["a/x", "a-x/y", "a.lock", "a0"], &[EVERYTHING, &["a*"], &["**/*"], &["a*/**"], &["a*", "!a-x"]]),
    (&["a/b/c", "a/b-c", "a/b.c", "a/B", "a-/b", "a!/b"], &[EVERYTHING, &["a/**"], &["a/b*"], &["a/b?c"]]),
    // Case.
    (
        &["B", "a", "C/x", "c/y", "A.lock", "a.Lock"],
        &[EVERYTHING, &["*.lock"], &["c"], &["[a-c]"], &["[A-C]*"]],
    ),
    // Unicode: order by bytes, `?` by UTF-16 units.
    (
        &["é", "e\u{301}", "z", "日本/語", "😀", "ü.lock", "\u{ff5e}x"],
        &[EVERYTHING, &["?"], &["??"], &["*.lock"], &["日*/**"], &["[é😀]*"], &["[!z]"], &["[!z]?"]],
    ),
    // Leading dots are like any other character.
    (
        &[".a", ".b/c", ".b/.d", "x/.e", "...f"],
        &[EVERYTHING, &["*"], &[".*"], &["**/.*"], &["*/*"], &["?b"], &["[.]a"]],
    ),
    // Patterns are rooted.
    (
        &["p.lock", "x/p.lock", "x/y/p.lock"],
        &[&["*.lock"], &["**/*.lock"], &["x/*.lock"], &["*/*.lock"], &["./p.lock"], &["/p.lock"]],
    ),
    // A directory's name implies its descendants.
    (
        &["d/a", "d/e/b", "d2/c", "e"],
        &[
            &["d"],
            &["d/"],
            &["d/e"],
            &["d*"],
            &["d*/"],
            &["*/e"],
            &["d/**"],
            &["d/*"],
            &["d/**/"],
            &["**/e"],
            &["**/e/"],
            &["e/"],
            &["e/**"],
        ],
    ),
    // Excludes in order; the last word counts.
    (
        &["a.o", "b.c", "x/a.o", "x/b.c", "x/y/k.o"],
        &[
            &["**", "!**/*.o"],
            &["**", "!x"],
            &["**", "!x/"],
            &["**", "!x/**", "x/b.c"],
            &["**", "!**/*.o", "x/a.o"],
            &["!**", "a.o"],
            &["!a.o"],
            &["!!a.o"],
            &["! b.c", "**"],
            &["**", "!**"],
        ],
    ),
    // Overlapping patterns count a file once; searches in the order of the patterns.
    (
        &["a/1", "a/b/2", "b/3", "4"],
        &[
            &["a", "a/b"],
            &["a/b", "a"],
            &["b", "a"],
            &["b/*", "a/*", "4"],
            &["4", "**"],
            &["a/1", "a/1"],
            &["b", "4", "a/b/2", "a/1"],
            &["a/b/*", "a/*", "*"],
        ],
    ),
    // Globstars.
    (
        &["b", "a/b", "a/x/b", "a/x/y/b", "a/z/b/b", "a/x/q/b/c"],
        &[
            &["a/**/b"],
            &["**/b"],
            &["**/b/**"],
            &["**/x/**/b"],
            &["**/**/b"],
            &["a**"],
            &["a/**b"],
            &["**/x/*"],
            &["*/**/*"],
            &["**/b/c"],
            &["a/**/x/**/c"],
            &["**/a/**/b/**"],
        ],
    ),
    // Question marks and sets.
    (
        &["a1", "a2", "b1", "ab", "a", "a12", "]", "[", "-", "!", "^"],
        &[
            &["a?"],
            &["?"],
            &["??"],
            &["[ab]1"],
            &["a[0-9]"],
            &["[!a]1"],
            &["[^a]1"],
            &["[]]"],
            &["[-a]"],
            &["[a-]"],
            &["[!]]"],
            &["[z-a]"],
            &["[z-ab]1"],
            &["[!z-a]"],
            &["a[]"],
            &["[["],
            &["[a"],
            &["a[12"],
        ],
    ),
    // Names that hold wildcards.
    (
        &["a*b", "axb", "a[b]", "ab", "a?b", "q\\r", "{x,y}", "x", "+(x)", "#c"],
        &[
            &["a\\*b"],
            &["a[*]b"],
            &["a[[]b]"],
            &["a\\[b\\]"],
            &["a\\?b"],
            &["q\\\\r"],
            &["q\\r"],
            &["{x,y}"],
            &["+(x)"],
            &["#c"],
            &["*\\*b"],
            &["?\\*b"],
            &["*[*]b"],
            &["[#]c"],
            &["\\#c"],
            &["@(x)"],
            &["*b]"],
            &["a[?]*"],
        ],
    ),
    // Links to files are hashed, linked directories skipped.
    (
        &["f", "d/g", "l -> f", "m -> d", "d/n -> ../f", "o -> l"],
        &[EVERYTHING, &["l"], &["m"], &["m/g"], &["m/**"], &["m/"], &["d"], &["l/"], &["*", "!m"], &["l/**"]],
    ),
    // Circles of links.
    (
        &["a/f", "a/up -> ..", "a/self -> .", "b/a -> ../a"],
        &[EVERYTHING, &["a"], &["b/**"], &["a/up/a/f"], &["a/self/**"]],
    ),
    (&["x", "loop -> loop"], &[&["x"], &["x*"]]),
    // A broken link.
    (
        &["f", "broken -> nowhere", "d/broken -> ../nowhere"],
        &[
            EVERYTHING,
            &["f"],
            &["*", "!broken"],
            &["**", "!**/broken"],
            &["broken"],
            &["broken/x"],
            &["d"],
            &["d/*"],
        ],
    ),
    // What is not there.
    (
        &["a", "d/"],
        &[
            &["b"],
            &["b/*"],
            &["a/b"],
            &["a/*"],
            &["d"],
            &["d/**"],
            &[""],
            &["", "a"],
            &["# a", "a"],
            &[" a "],
            &["a/b/c", "a"],
        ],
    ),
    // Refused.
    (
        &["a"],
        &[
            &["!"],
            &["../a"],
            &["x/../a"],
            &["x/./a"],
            &["a", ".."],
            &["."],
            &["./"],
            &["./a"],
            &[".//a"],
            &["[.]/a"],
            &["x/[.][.]"],
        ],
    ),
    // Separators.
    (&["a/b/c", "a/d"], &[&["a//b"], &["a/b/"], &["a///"], &["a/b/c/"], &["a/b/c"], &["//a"], &["./a//d"]]),
    // Deep nesting.
    (
        &["1/2/3/4/5/6/7/8/f", "1/2/3/f", "1/f"],
        &[EVERYTHING, &["1/**/f"], &["1/*/3/**"], &["**/7/**"], &["1/2/3/4/5/6/7/8/f"], &["*/*/*/f"]],
    ),
    // The same content in several places, and an empty file.
    (&["same1", "same2", "empty"], &[EVERYTHING, &["same*"], &["empty"]]),
    // Numbers sort as text.
    (&["10", "2", "01", "1/x", "1 2"], &[EVERYTHING, &["[0-9]"], &["?*"], &["1*"], &["1 2"]]),
    // Space and control characters.
    (
        &["a b/c d", " lead", "trail ", "tab\tx"],
        &[EVERYTHING, &["a b/c d"], &["* *"], &["a */**"], &["*\tx"]],
    ),
    // Manifests as projects have them.
    (
        &[
            "Cargo.lock",
            "crates/a/Cargo.toml",
            "crates/b/Cargo.toml",
            "target/x/Cargo.toml",
            "package-lock.json",
            "web/package-lock.json",
            "web/node_modules/p/package-lock.json",
        ],
        &[
            &["**/Cargo.lock", "**/Cargo.toml"],
            &["**/package-lock.json", "!**/node_modules/**"],
            &["**/Cargo.toml", "!target"],
            &["Cargo.lock", "crates/*/Cargo.toml"],
            &["crates/{a,b}/Cargo.toml"],
        ],
    ),
    // Content links.
    (
        &["Data/a.mha.cid", "Data/Input/b.nrrd.cid", "Data-x/c.cid", "Data.cid", "Data/x.sha512"],
        &[&["**/*.cid"], &["**/*.cid", "**/*.sha512"], &["Data/**/*.cid"], &["**/*.sha512", "**/*.cid"]],
    ),
    // Stars in every place.
    (
        &["abc", "aXbYc", "ab", "bc", "a.b.c"],
        &[
            &["a*b*c"],
            &["*b*"],
            &["*c"],
            &["a*"],
            &["***"],
            &["*.*"],
            &["*.*.*"],
            &["a***c"],
            &["*?"],
            &["?*?"],
            &["*b?"],
        ],
    ),
    (&[], &[EVERYTHING, &["a"], &["."]]),
];
