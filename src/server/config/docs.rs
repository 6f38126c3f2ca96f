//! `docs/configuration.md`, folded from the table.

use std::fmt::Write;

use super::settings::{Config, Role};
use super::table::{Directive, Kind, TABLE};
use super::values::memory_spelled;

const INTRODUCTION: &str = "# Configuration

This page is generated from the table in `src/server/config/table`; a test holds the two equal.

`outrigger [FILE] [--directive VALUE …]… [-]` reads FILE, then the standard input if the last argument is `-`, then
the options; what comes later wins. Files have the syntax of `redis.conf`: a directive and its arguments a line, `#`
for comments, double quotes with escapes or single quotes around arguments, `include PATH` (patterns allowed) for
further files. Amounts of memory take the units `k`, `m`, `g` (powers of 1000) and `kb`, `mb`, `gb` (powers of 1024).

`CONFIG SET` changes what is not marked *start*, all pairs of one call or none. *Protected* directives need
`enable-protected-configs`. `CONFIG REWRITE` writes the settings in force back to FILE and keeps its comments.

**Persistence follows the role.** With neither `appendonly` nor `save` set, a primary writes nothing to its disk and
a replica writes an append-only file and snapshots. As soon as one of the two is set, both mean what they mean in
Redis. A stock `redis.conf` holds `appendonly no`: remove that line to let the role decide. `CONFIG GET` reports
what is in force for the present role.

";

/// The page as it should be committed.
pub fn markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    let defaults = Config::default();
    for group in TABLE {
        let fixed = group.directives.iter().all(|d| matches!(d.kind, Kind::Fixed { .. }));
        // Writing to a String cannot fail.
        let _ = writeln!(page, "## {}\n", group.title);
        page.push_str(if fixed {
            "Directives of Redis that are accepted only with the values shown, which change nothing here. Anything \
             else is refused as known but not supported yet.\n\n| directive | accepted |\n| --- | --- |\n"
        } else {
            "| directive | value | default | set | meaning |\n| --- | --- | --- | --- | --- |\n"
        });
        for directive in group.directives.iter().filter(|directive| !directive.hidden) {
            match &directive.kind {
                Kind::Fixed { value, also } => {
                    let words: Vec<String> = std::iter::once(value).chain(*also).map(|v| quoted(v)).collect();
                    let _ = writeln!(page, "| {} | {} |", names(directive), words.join(", "));
                }
                _ => row(&mut page, directive, &defaults),
            }
        }
        page.push('\n');
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

fn row(page: &mut String, directive: &Directive, defaults: &Config) {
    let default = match (directive.default_note, &directive.kind) {
        (Some(note), _) => note.to_owned(),
        (None, Kind::Memory { get, .. }) => quoted(&memory_spelled(get(defaults))),
        _ => quoted(&String::from_utf8_lossy(&directive.show(defaults, Role::Primary))),
    };
    let when = match (directive.mutable, directive.protected) {
        _ if directive.only_in_files => "in files",
        (false, _) => "start",
        (true, true) => "protected",
        (true, false) => "any time",
    };
    let _ = writeln!(
        page,
        "| {} | {} | {} | {} | {} |",
        names(directive),
        escaped(&values(&directive.kind)),
        escaped(&default),
        when,
        escaped(directive.summary)
    );
}

fn names(directive: &Directive) -> String {
    let mut text = format!("`{}`", directive.name);
    for alias in directive.aliases {
        let _ = write!(text, " (also `{alias}`)");
    }
    text
}

fn values(kind: &Kind) -> String {
    match kind {
        Kind::YesNo { .. } => "yes, no".to_owned(),
        Kind::Integer { min, max, .. } => {
            range(&min.to_string(), &max.to_string(), *max >= i64::from(i32::MAX))
        }
        Kind::Memory { min, max, .. } => {
            format!(
                "memory, {}",
                range(&memory_spelled(*min), &memory_spelled(*max), *max >= i64::MAX as u64)
            )
        }
        Kind::Octal { max, .. } => range("0", &format!("{max:o} (octal)"), false),
        Kind::Word { words, .. } => words.join(", "),
        Kind::Text { .. } => "text".to_owned(),
        Kind::Special { form, .. } => (*form).to_owned(),
        Kind::Fixed { value, .. } => (*value).to_owned(),
    }
}

fn range(min: &str, max: &str, unbounded: bool) -> String {
    if unbounded { format!("from {min}") } else { format!("{min} to {max}") }
}

fn quoted(value: &str) -> String {
    if value.is_empty() { "empty".to_owned() } else { format!("`{value}`") }
}

fn escaped(cell: &str) -> String {
    cell.replace('|', "\\|")
}
