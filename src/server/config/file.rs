//! Configuration files and the command line.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use super::access::line_args;
use super::error::{FileError, Refusal};
use super::settings::Config;
use super::table::{self, Origin, REFUSED_IN_FILES};
use super::words::{push_quoted, split_args};
use crate::base::glob::{glob_match, is_literal};
use crate::sys::disk::Disk;

/// Deepest nesting of `include`.
const INCLUDE_MAX_DEPTH: usize = 16;

/// Longest configuration file that is read, in bytes.
const FILE_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Where configuration text comes from.
pub trait ConfigSource {
    /// The whole of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// The names in a folder, for `include` with a pattern.
    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>>;
    /// The whole of the standard input.
    fn read_stdin(&self) -> io::Result<Vec<u8>>;
}

/// Files of a disk, and the process's standard input.
pub struct DiskSource<'a>(pub &'a dyn Disk);

impl ConfigSource for DiskSource<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.0.open_read(path).map_err(|e| e.source)?;
        let mut text = Vec::new();
        let mut chunk = [0; 16 * 1024];
        loop {
            let read = file.read_at(text.len() as u64, &mut chunk).map_err(|e| e.source)?;
            match chunk.get(..read) {
                None | Some([]) => return Ok(text),
                Some(bytes) => text.extend_from_slice(bytes),
            }
            if text.len() as u64 > FILE_MAX_BYTES {
                return Err(io::Error::other("longer than a configuration file may be"));
            }
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        let entries = self.0.list_dir(folder).map_err(|e| e.source)?;
        Ok(entries.into_iter().map(|entry| entry.name).collect())
    }

    fn read_stdin(&self) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        io::stdin().take(FILE_MAX_BYTES).read_to_end(&mut text)?;
        Ok(text)
    }
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// Run the server.
    Run(Box<CommandLine>),
    /// Print the version (`-v`, `--version`).
    Version,
    /// Print how to call the program (`-h`, `--help`).
    Help,
}

/// A server to run: its settings and where they came from.
#[derive(Debug)]
pub struct CommandLine {
    /// The settings; `dir` is absolute.
    pub config: Config,
    /// Absolute path of the configuration file, for CONFIG REWRITE and INFO.
    pub file: Option<PathBuf>,
}

impl CommandLine {
    /// Reads a command line as redis-server does: `[FILE] [--directive VALUE …]… [-]`, without the program's name.
    /// The file comes first, then the standard input if the last argument is `-`, then the options.
    /// Relative paths start at `cwd`.
    pub fn parse<I>(args: I, cwd: &Path, source: &dyn ConfigSource) -> Result<Invocation, FileError>
    where
        I: IntoIterator<Item = OsString>,
    {
        let mut args: Vec<Vec<u8>> = args.into_iter().map(OsString::into_vec).collect();
        match args.as_slice() {
            [only] if only == b"-v" || only == b"--version" => return Ok(Invocation::Version),
            [only] if only == b"-h" || only == b"--help" => return Ok(Invocation::Help),
            _ => {}
        }
        let mut config = Config::default();
        let mut reader = Reader { cwd, source, from_stdin: false };
        let mut file = None;
        if args.first().is_some_and(|first| first.first() != Some(&b'-')) {
            let path = cwd.join(OsString::from_vec(args.remove(0)));
            reader.read_file(&mut config, &path, 0)?;
            file = Some(path);
        }
        if args.last().is_some_and(|last| last == b"-") {
            args.pop();
            let path = PathBuf::from("-");
            let text = source.read_stdin().map_err(|e| FileError::Open { path: path.clone(), source: e })?;
            reader.from_stdin = true;
            reader.take_text(&mut config, &text, &path, 0)?;
        }
        for option in options(args)? {
            take_option(&mut config, option)?;
        }
        config.dir = absolute(cwd, &config.dir);
        Ok(Invocation::Run(Box::new(CommandLine { config, file })))
    }
}

/// Applies the text of a configuration file to `config`. `path` is named in errors; `include` starts at `cwd`.
pub fn parse_file(
    config: &mut Config,
    text: &[u8],
    path: &Path,
    cwd: &Path,
    source: &dyn ConfigSource,
) -> Result<(), FileError> {
    Reader { cwd, source, from_stdin: false }.take_text(config, text, path, 0)
}

/// Joins and drops `.` components, so that INFO and CONFIG GET show a plain path.
fn absolute(cwd: &Path, path: &Path) -> PathBuf {
    cwd.join(path).components().filter(|part| *part != Component::CurDir).collect()
}

struct Reader<'a> {
    cwd: &'a Path,
    source: &'a dyn ConfigSource,
    /// The text is not the file CONFIG REWRITE writes, so what it sets counts as touched.
    from_stdin: bool,
}

impl Reader<'_> {
    fn read_file(&self, config: &mut Config, path: &Path, depth: usize) -> Result<(), FileError> {
        let text =
            self.source.read(path).map_err(|source| FileError::Open { path: path.to_owned(), source })?;
        self.take_text(config, &text, path, depth)
    }

    fn take_text(
        &self,
        config: &mut Config,
        text: &[u8],
        path: &Path,
        depth: usize,
    ) -> Result<(), FileError> {
        for (index, line) in text.split(|b| *b == b'\n').enumerate() {
            let line = line.trim_ascii();
            let wrong = |reason: Refusal| FileError::Line {
                path: path.to_owned(),
                line: index + 1,
                text: printable(line),
                reason: reason.into_owned(),
            };
            let Some(words) = split_line(line).map_err(wrong)? else { continue };
            match words.split_first() {
                None => {}
                Some((name, [pattern])) if name == b"include" => {
                    if depth + 1 >= INCLUDE_MAX_DEPTH {
                        return Err(wrong("include is nested too deeply".into()));
                    }
                    for included in self.expand(pattern)? {
                        self.read_file(config, &included, depth + 1)?;
                    }
                }
                Some((name, args)) => {
                    let name = take_words(config, name, args.to_vec()).map_err(wrong)?;
                    if self.from_stdin {
                        config.touched.insert(name);
                    }
                }
            }
        }
        Ok(())
    }

    /// The files an `include` names, sorted. Only the part after the last literal folder may be a pattern; a
    /// pattern that matches nothing is no error, a literal path that is missing is.
    fn expand(&self, pattern: &[u8]) -> Result<Vec<PathBuf>, FileError> {
        let whole = self.cwd.join(OsString::from_vec(pattern.to_vec()));
        let mut paths = vec![PathBuf::new()];
        for part in whole.components() {
            let name = part.as_os_str().as_bytes();
            if is_literal(name) {
                paths.iter_mut().for_each(|path| path.push(part));
                continue;
            }
            let mut matched = Vec::new();
            for folder in paths {
                // What is no folder has nothing that matches.
                for entry in self.source.list(&folder).unwrap_or_default() {
                    let hidden = entry.as_bytes().first() == Some(&b'.') && name.first() != Some(&b'.');
                    if !hidden && glob_match(name, entry.as_bytes()) {
                        matched.push(folder.join(entry));
                    }
                }
            }
            matched.sort();
            paths = matched;
        }
        Ok(paths)
    }
}

/// The words of a trimmed line, its name in lower case; `None` for comments and empty lines.
pub(super) fn split_line(line: &[u8]) -> Result<Option<Vec<Vec<u8>>>, Refusal> {
    if line.is_empty() || line.first() == Some(&b'#') {
        return Ok(None);
    }
    let mut words = split_args(line).ok_or("Unbalanced quotes in configuration line")?;
    if let Some(name) = words.first_mut() {
        name.make_ascii_lowercase();
    }
    Ok(Some(words))
}

/// Applies one directive of a file or command line; returns its main name.
pub(super) fn take_words(
    config: &mut Config,
    name: &[u8],
    args: Vec<Vec<u8>>,
) -> Result<&'static str, Refusal> {
    if let Some(refused) = REFUSED_IN_FILES.iter().find(|r| name.eq_ignore_ascii_case(r.as_bytes())) {
        return Err(table::not_supported(refused));
    }
    let Some(directive) = table::find(name) else {
        return Err("Bad directive or wrong number of arguments".into());
    };
    if args.is_empty() && !directive.bare {
        return Err("wrong number of arguments".into());
    }
    directive.take(config, &line_args(directive, args), Origin::File)?;
    Ok(directive.name)
}

/// Groups the command line into options: a name and its values each.
fn options(args: Vec<Vec<u8>>) -> Result<Vec<Vec<Vec<u8>>>, FileError> {
    let mut options: Vec<Vec<Vec<u8>>> = Vec::new();
    // Does the option at hand have its value, so that `--` begins the next one?
    let mut complete = true;
    let mut args = args.into_iter().peekable();
    while let Some(arg) = args.next() {
        match (arg.strip_prefix(b"--"), options.last_mut()) {
            (Some(name), _) if complete => {
                let wrong = |reason: &str| FileError::Argument {
                    text: String::from_utf8_lossy(&arg).into_owned(),
                    reason: reason.to_owned(),
                };
                // `--port 6380` may also come as a single argument.
                let mut words =
                    split_args(name).ok_or_else(|| wrong("Unbalanced quotes in configuration line"))?;
                complete = words.len() > 1;
                let bare_save = matches!(words.as_slice(), [only] if only.eq_ignore_ascii_case(b"save"));
                if bare_save && args.peek().is_none_or(|next| next.starts_with(b"--")) {
                    words.push(Vec::new());
                    complete = true;
                }
                if words.is_empty() {
                    return Err(wrong("Bad directive or wrong number of arguments"));
                }
                options.push(words);
            }
            (_, Some(option)) => {
                option.push(arg);
                complete = true;
            }
            (_, None) => options.push(vec![arg]),
        }
    }
    Ok(options)
}

fn take_option(config: &mut Config, mut words: Vec<Vec<u8>>) -> Result<(), FileError> {
    let args = words.split_off(1);
    let name = words.pop().unwrap_or_default();
    let mut line = name.clone();
    for arg in &args {
        line.push(b' ');
        push_quoted(&mut line, arg);
    }
    let name = take_words(config, &name, args)
        .map_err(|reason| FileError::Argument { text: printable(&line), reason: reason.into_owned() })?;
    config.touched.insert(name);
    Ok(())
}

/// A line for an error message: without secrets.
fn printable(line: &[u8]) -> String {
    let name = line.split(|b| b.is_ascii_whitespace()).next().unwrap_or_default();
    match table::find(name).is_some_and(|directive| directive.sensitive) {
        true => format!("{} (value not shown)", String::from_utf8_lossy(name)),
        false => String::from_utf8_lossy(line).into_owned(),
    }
}
