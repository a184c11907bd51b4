//! What kind of job this is: whose configuration it works with, and what follows for saves and exports.

use super::{Configuration, DoctorInput, Report, Status};
use crate::domain::spec::Spec;
use crate::domain::trust::{ExportVerdict, Grants};

/// Adds the event, and where there is a configuration, what it lets the job do.
pub(super) fn event(input: &DoctorInput<'_>, report: &mut Report) {
    let trust = &input.facts.trust;
    let name = trust.event.as_ref().map(|name| format!("`{name}` is ")).unwrap_or_default();
    if trust.is_privileged {
        let hint = "see docs/security.md for what such a workflow must and must not do".to_owned();
        report.add_with_hint(
            "event",
            Status::Note,
            format!("{name}privileged: {}", trust.reason),
            Some(hint),
        );
    } else {
        report.add("event", Status::Ok, format!("{name}trusted: {}", trust.reason));
    }
    if let Configuration::Usable { spec, grants, .. } = &input.configuration {
        saves(grants, report);
        exports(spec, grants, report);
    }
}

fn saves(grants: &Grants, report: &mut Report) {
    if !grants.trust.is_privileged {
        return;
    }
    if grants.may_save() {
        report.add("saves", Status::Ok, "entries are saved: the workflow gives the role `writer`");
    } else {
        let text = "every save is `denied-mode`: the workflow does not give the role `writer`";
        report.add_with_hint(
            "saves",
            Status::Note,
            text,
            Some("pass `role: writer` or `--role writer`".to_owned()),
        );
    }
}

fn exports(spec: &Spec, grants: &Grants, report: &mut Report) {
    let declared = || spec.caches.iter().flat_map(|cache| cache.export.keys());
    let of = |wanted: fn(ExportVerdict) -> bool| -> Vec<&str> {
        declared().filter(|name| wanted(grants.export(name))).map(String::as_str).collect()
    };
    let add = |report: &mut Report, status, names: &[&str], what: &str, hint: Option<String>| {
        if !names.is_empty() {
            report.add_with_hint("exports", status, format!("{what}: {}", names.join(", ")), hint);
        }
    };
    let listing = |names: &[&str]| {
        Some(format!("list in the workflow what the job needs: `allow-export: {}`", names.join(" ")))
    };
    let exported = of(|verdict| verdict == ExportVerdict::Exported);
    add(report, Status::Ok, &exported, "exported", None);
    let withheld = of(|verdict| verdict == ExportVerdict::Withheld);
    add(report, Status::Note, &withheld, "not exported in a privileged event", listing(&withheld));
    let refused = of(|verdict| matches!(verdict, ExportVerdict::Refused(_)));
    add(
        report,
        Status::Problem,
        &refused,
        "programs run code by these, so caches may not export them",
        listing(&refused),
    );
}
