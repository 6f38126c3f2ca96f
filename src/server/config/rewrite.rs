//! CONFIG REWRITE: the old text of the file in, its new text out.

use std::collections::BTreeMap;

use super::file::{split_line, take_words};
use super::settings::Config;
use super::table::{self, Args, Directive};
use super::words::push_quoted;

/// The comment above the settings that had no line of their own.
const MARKER: &str = "# Added by CONFIG REWRITE: settings that had no line above.";

/// The text of a configuration file that brings `config` about, made from its present text.
///
/// Comments, order, `include` lines and lines that already say the right thing stay as they are. Lines of a
/// directive with another value are replaced in place, surplus ones dropped. Directives without a line are appended
/// below a marker comment if they differ from their default or were touched: set by CONFIG SET, the command line or
/// [`Config::follow`]. In a file with `include` lines only touched directives change, because the others may have
/// their value from an included file; they go below every `include`, which could overrule them.
pub fn rewrite(old: &[u8], config: &Config) -> Vec<u8> {
    rewrite_with(old, config, false)
}

/// As [`rewrite`], and every directive that can be written has a line, also one that says no more than the default.
pub fn rewrite_all(old: &[u8], config: &Config) -> Vec<u8> {
    rewrite_with(old, config, true)
}

fn rewrite_with(old: &[u8], config: &Config, all: bool) -> Vec<u8> {
    let lines: Vec<&[u8]> = old.strip_suffix(b"\n").unwrap_or(old).split(|b| *b == b'\n').collect();
    let last_include = lines.iter().rposition(|line| name_of(line).is_some_and(|name| name == b"include"));
    let mut places: BTreeMap<&'static str, Vec<usize>> = BTreeMap::new();
    for (index, line) in lines.iter().enumerate() {
        if let Some(directive) = name_of(line).and_then(|name| table::find(&name)) {
            places.entry(directive.name).or_default().push(index);
        }
    }
    let defaults = Config::default();
    // What becomes of each old line: itself, another text, or nothing.
    let mut fate: Vec<Option<Vec<u8>>> = lines.iter().map(|line| Some(line.to_vec())).collect();
    let mut appended = Vec::new();
    for directive in table::directives().filter(|directive| !directive.hidden) {
        let old_places = places.get(directive.name).map_or(&[][..], Vec::as_slice);
        let touched = config.touched.contains(directive.name);
        let overruled = touched && last_include > old_places.first().copied();
        let mut wanted = if directive.transient { Vec::new() } else { directive.lines(config) };
        let start_over: Args = directive.start_over.iter().map(|arg| arg.as_bytes().to_vec()).collect();
        if overruled && !start_over.is_empty() && wanted.first() != Some(&start_over) {
            // Included lines would otherwise add to these, or stand alone.
            wanted.insert(0, start_over);
        }
        let keep = match old_places {
            _ if !touched && !directive.transient && last_include.is_some() => true,
            [] => !touched && !all && wanted == directive.lines(&defaults),
            _ => !overruled && !directive.transient && says(directive, &lines, old_places, &wanted),
        };
        if keep {
            continue;
        }
        let mut texts = wanted.iter().map(|args| spell(directive.name, args));
        for &place in old_places {
            if let Some(slot) = fate.get_mut(place) {
                *slot = if overruled { None } else { texts.next() };
            }
        }
        appended.extend(texts);
    }
    assemble(fate, appended)
}

/// The name a line begins with, in lower case; none for comments.
fn name_of(line: &[u8]) -> Option<Vec<u8>> {
    split_line(line.trim_ascii()).ok()??.into_iter().next()
}

/// Do the old lines of a directive, taken together, already say what is wanted?
fn says(directive: &Directive, lines: &[&[u8]], places: &[usize], wanted: &[Args]) -> bool {
    let mut scratch = Config::default();
    for line in places.iter().filter_map(|place| lines.get(*place)) {
        let Ok(Some(mut words)) = split_line(line.trim_ascii()) else { return false };
        let args = words.split_off(1.min(words.len()));
        if take_words(&mut scratch, directive.name.as_bytes(), args).is_err() {
            return false;
        }
    }
    directive.lines(&scratch) == wanted
}

fn spell(name: &str, args: &[Vec<u8>]) -> Vec<u8> {
    let mut line = name.as_bytes().to_vec();
    for arg in args {
        line.push(b' ');
        push_quoted(&mut line, arg);
    }
    line
}

fn assemble(fate: Vec<Option<Vec<u8>>>, appended: Vec<Vec<u8>>) -> Vec<u8> {
    let mut kept: Vec<Vec<u8>> = fate.into_iter().flatten().collect();
    if !appended.is_empty() {
        if !kept.iter().any(|line| line.trim_ascii() == MARKER.as_bytes()) {
            if kept.last().is_some_and(|line| !line.is_empty()) {
                kept.push(Vec::new());
            }
            kept.push(MARKER.as_bytes().to_vec());
        }
        kept.extend(appended);
    }
    let mut text = kept.join(&b'\n');
    if !text.is_empty() {
        text.push(b'\n');
    }
    text
}
