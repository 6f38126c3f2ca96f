//! CONFIG REWRITE: the old text of the file in, its new text out.

use std::collections::BTreeMap;

use super::file::{split_line, take_words};
use super::settings::Config;
use super::table::{self, Directive};
use super::words::push_quoted;

/// The comment above the settings that had no line of their own.
const MARKER: &str = "# Added by CONFIG REWRITE: settings that had no line above.";

/// The text of a configuration file that brings `config` about, made from its present text.
///
/// Comments, order, `include` lines and lines that already say the right thing stay as they are. Lines of a
/// directive with another value are replaced in place, surplus ones dropped. Directives without a line are appended
/// below a marker comment if they differ from their default or CONFIG SET has touched them.
pub fn rewrite(old: &[u8], config: &Config) -> Vec<u8> {
    let lines: Vec<&[u8]> = old.strip_suffix(b"\n").unwrap_or(old).split(|b| *b == b'\n').collect();
    let mut places: BTreeMap<&'static str, Vec<usize>> = BTreeMap::new();
    for (index, line) in lines.iter().enumerate() {
        if let Some(directive) = directive_of(line) {
            places.entry(directive.name).or_default().push(index);
        }
    }
    let defaults = Config::default();
    // What becomes of each old line: itself, another text, or nothing.
    let mut fate: Vec<Option<Vec<u8>>> = lines.iter().map(|line| Some(line.to_vec())).collect();
    let mut appended = Vec::new();
    for directive in table::directives() {
        let old_places = places.get(directive.name).map_or(&[][..], Vec::as_slice);
        let wanted = if directive.transient { Vec::new() } else { directive.lines(config) };
        if !old_places.is_empty() && !directive.transient && says(directive, &lines, old_places, &wanted) {
            continue;
        }
        let silent = old_places.is_empty()
            && !config.touched.contains(directive.name)
            && wanted == directive.lines(&defaults);
        if silent {
            continue;
        }
        let mut texts = wanted.iter().map(|args| spell(directive.name, args));
        for &place in old_places {
            if let Some(slot) = fate.get_mut(place) {
                *slot = texts.next();
            }
        }
        appended.extend(texts);
    }
    assemble(fate, appended)
}

/// The directive a line sets, if any.
fn directive_of(line: &[u8]) -> Option<&'static Directive> {
    let words = split_line(line.trim_ascii()).ok()??;
    table::find(words.first()?)
}

/// Do the old lines of a directive, taken together, already say what is wanted?
fn says(directive: &Directive, lines: &[&[u8]], places: &[usize], wanted: &[Vec<Vec<u8>>]) -> bool {
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
