//! Files that are made from the sources and committed: they must be what the sources say.
//!
//! `CACHEKEEP_BLESS=1 cargo test --test tidy generated` writes them anew.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use cachekeep::cli::args::Args;
use cachekeep::cli::exit;
use cachekeep::cli::inputs::RULES;
use clap::CommandFactory;

fn check(name: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var_os("CACHEKEEP_BLESS").is_some() {
        fs::write(&path, expected).expect("written");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{name} is not current: CACHEKEEP_BLESS=1 cargo test --test tidy generated");
}

#[test]
fn the_reference_is_current() {
    let mut text = String::from(
        "# Reference\n\nGenerated from the sources (`tests/tidy/generated.rs`). The fields of `cachekeep.toml` are \
         described in `cachekeep.schema.json`.\n\n## Exit codes\n\n| code | means |\n|---|---|\n",
    );
    for (code, meaning) in exit::DOCUMENTED {
        let _ = writeln!(text, "| {} | {meaning} |", code.0);
    }
    let _ = writeln!(text, "| {}+N | ended by signal N |", exit::SIGNAL_BASE);
    let mut command = Args::command().term_width(100);
    command.build();
    let _ = write!(text, "\n## cachekeep\n\n```text\n{}```\n", command.render_long_help());
    for subcommand in command.get_subcommands_mut().filter(|subcommand| subcommand.get_name() != "help") {
        let global: Vec<String> = subcommand
            .get_arguments()
            .filter(|argument| argument.is_global_set())
            .map(|argument| argument.get_id().to_string())
            .collect();
        // Options of every command are listed once, above.
        let mut own = subcommand.clone();
        for id in global {
            own = own.mut_arg(id, |argument| argument.hide(true));
        }
        let _ = write!(
            text,
            "\n## cachekeep {}\n\n```text\n{}```\n",
            subcommand.get_name(),
            own.render_long_help()
        );
    }
    text.push_str("\n## Rules of check\n\nWhat an expression will be is not known before a workflow or pipeline runs; rules that depend on it say nothing then.\n\n");
    text.push_str("| rule | what is wrong |\n|---|---|\n");
    for rule in RULES {
        let _ = writeln!(text, "| `{}` | {} |", rule.name, rule.what);
    }
    let trimmed: Vec<&str> = text.lines().map(str::trim_end).collect();
    check("docs/reference.md", &format!("{}\n", trimmed.join("\n")));
}
