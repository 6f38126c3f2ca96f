//! A small language for commands' arguments, and the generator of random commands from it.
//!
//! `SET <str> <val> {NX|XX|GET|EX <secs>}`: words stand for themselves and `<atoms>` for random arguments; `[x]` may be left
//! out; `(a|b)` is one of them; `{a|b}` is none to three of them in any order; `+` behind an element repeats it; `#` before a
//! group stands for the number of its repetitions, which follow (`#(<str>)`).

use super::atoms;
use crate::support::rng::Pick;
use outrigger::base::random::Rng;

/// One argument, as bytes.
pub type Arg = Vec<u8>;

/// A part of a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Itself, in any case.
    Word(String),
    /// A random argument of this kind.
    Atom(String),
    /// The parts one after another.
    Sequence(Vec<Part>),
    /// May be left out.
    Optional(Box<Part>),
    /// One of them.
    One(Vec<Part>),
    /// None to three of them.
    Some(Vec<Part>),
    /// Once or more often.
    Repeat(Box<Part>),
    /// A number, and so many of it.
    Counted(Box<Part>),
}

/// Parses a line of the table; panics on a typo in it.
pub fn parse(text: &str) -> Part {
    let mut parser = Parser { text: text.as_bytes(), at: 0 };
    let part = parser.alternatives();
    assert!(parser.at == text.len(), "stray '{}' in {text:?}", &text[parser.at..]);
    match part.len() {
        1 => part.into_iter().next().expect("one part"),
        _ => panic!("alternatives need brackets: {text:?}"),
    }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn alternatives(&mut self) -> Vec<Part> {
        let mut found = vec![self.sequence()];
        while self.peek() == Some(b'|') {
            self.at += 1;
            found.push(self.sequence());
        }
        found
    }

    fn sequence(&mut self) -> Part {
        let mut parts = Vec::new();
        loop {
            match self.peek() {
                Some(b' ') => self.at += 1,
                None | Some(b'|' | b')' | b']' | b'}') => break,
                Some(_) => {
                    let mut part = self.element();
                    if self.peek() == Some(b'+') {
                        self.at += 1;
                        part = Part::Repeat(Box::new(part));
                    }
                    parts.push(part);
                }
            }
        }
        match parts.len() {
            1 => parts.remove(0),
            _ => Part::Sequence(parts),
        }
    }

    fn element(&mut self) -> Part {
        match self.peek() {
            Some(b'<') => {
                let name = self.until(b'>');
                assert!(atoms::exists(&name), "no atom is called <{name}>");
                Part::Atom(name)
            }
            Some(b'#') => {
                self.at += 1;
                Part::Counted(Box::new(self.element()))
            }
            Some(b'(') => Part::One(self.group(b')')),
            Some(b'{') => Part::Some(self.group(b'}')),
            Some(b'[') => {
                let group = self.group(b']');
                Part::Optional(Box::new(Part::One(group)))
            }
            _ => {
                let from = self.at;
                while self.peek().is_some_and(|b| !b" |()[]{}+<>".contains(&b)) {
                    self.at += 1;
                }
                assert!(self.at > from, "stray '{}'", char::from(self.text[from]));
                Part::Word(String::from_utf8_lossy(&self.text[from..self.at]).into_owned())
            }
        }
    }

    fn until(&mut self, end: u8) -> String {
        let from = self.at + 1;
        while self.peek() != Some(end) {
            assert!(self.at < self.text.len(), "unclosed atom");
            self.at += 1;
        }
        self.at += 1;
        String::from_utf8_lossy(&self.text[from..self.at - 1]).into_owned()
    }

    fn group(&mut self, end: u8) -> Vec<Part> {
        self.at += 1;
        let found = self.alternatives();
        assert!(self.peek() == Some(end), "unclosed group");
        self.at += 1;
        found
    }
}

/// Appends a random instance of `part`.
pub fn generate(part: &Part, rng: &mut Rng, out: &mut Vec<Arg>) {
    match part {
        Part::Word(word) => out.push(random_case(word, rng)),
        Part::Atom(name) => out.push(atoms::random(name, rng)),
        Part::Sequence(parts) => parts.iter().for_each(|part| generate(part, rng, out)),
        Part::Optional(part) => {
            if rng.percent(40) {
                generate(part, rng, out);
            }
        }
        Part::One(parts) => generate(&parts[rng.index(parts.len())], rng, out),
        Part::Some(parts) => {
            let count = [0, 0, 1, 1, 1, 2, 2, 3][rng.index(8)];
            (0..count).for_each(|_| generate(&parts[rng.index(parts.len())], rng, out));
        }
        Part::Repeat(part) => {
            for _ in 0..repetitions(rng) {
                generate(part, rng, out);
            }
        }
        Part::Counted(part) => {
            let count = 1 + rng.index(3);
            let said = match rng.below(40) {
                0 => b"0".to_vec(),
                1 => (count + 1).to_string().into_bytes(),
                2 => atoms::random("int", rng),
                _ => count.to_string().into_bytes(),
            };
            out.push(said);
            (0..count).for_each(|_| generate(part, rng, out));
        }
    }
}

/// Mostly few; now and then so many that encodings change.
fn repetitions(rng: &mut Rng) -> usize {
    match rng.below(60) {
        0 => 130 + rng.index(60),
        1..=3 => 10 + rng.index(20),
        _ => 1 + rng.index(4),
    }
}

fn random_case(word: &str, rng: &mut Rng) -> Arg {
    match rng.below(20) {
        0 => word.to_lowercase().into_bytes(),
        _ => word.as_bytes().to_vec(),
    }
}

/// Spoils a command: an argument too many, too few, or not what belongs there.
pub fn spoil(args: &mut Vec<Arg>, rng: &mut Rng) {
    let at = 1 + rng.index(args.len());
    match rng.below(4) {
        0 if args.len() > 1 => {
            args.truncate(args.len() - 1);
        }
        1 => args.insert(at, atoms::random("junk", rng)),
        2 if args.len() > 1 => {
            args.remove(at.min(args.len() - 1));
        }
        _ => match args.get_mut(at) {
            Some(arg) => *arg = atoms::random("junk", rng),
            None => args.push(atoms::random("junk", rng)),
        },
    }
}

#[test]
fn grammar_lines_parse_to_parts() {
    let word = |text: &str| Part::Word(text.into());
    let atom = |text: &str| Part::Atom(text.into());
    assert_eq!(
        parse("X <int>+ [A <val>] (B|C) {D|E} #(<val>)"),
        Part::Sequence(vec![
            word("X"),
            Part::Repeat(Box::new(atom("int"))),
            Part::Optional(Box::new(Part::One(vec![Part::Sequence(vec![word("A"), atom("val")])]))),
            Part::One(vec![word("B"), word("C")]),
            Part::Some(vec![word("D"), word("E")]),
            Part::Counted(Box::new(Part::One(vec![atom("val")]))),
        ])
    );
}
