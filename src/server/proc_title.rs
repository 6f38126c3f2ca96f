//! The server's title among the processes, made of the directive `proc-title-template`.

use super::Node;
use super::config::Config;
use crate::sys::title;
use std::path::Path;

/// Fills a template: words in braces are replaced by what they name, and two opening
/// braces stand for one. `None`: it is not
/// well formed, names what is unknown, or comes to nothing.
pub fn fill(template: &str, title: &str, config: &Config, file: Option<&Path>) -> Option<String> {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, from)) = rest.split_once('{') {
        out.push_str(before);
        if let Some(after) = from.strip_prefix('{') {
            out.push('{');
            rest = after;
            continue;
        }
        let (word, after) = from.split_once('}')?;
        out.push_str(&named(word, title, config, file)?);
        rest = after;
    }
    out.push_str(rest);
    let trimmed = out.trim_matches(' ');
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}

fn named(word: &str, title: &str, config: &Config, file: Option<&Path>) -> Option<String> {
    let socket = || config.unixsocket.as_deref().map_or_else(String::new, |path| path.display().to_string());
    Some(match word {
        "title" => title.to_owned(),
        "listen-addr" if config.port == 0 => socket(),
        "listen-addr" => format!("{}:{}", config.bind.first().map_or("*", String::as_str), config.port),
        // Neither Sentinel nor a node of a cluster.
        "server-mode" => String::new(),
        "port" => config.port.to_string(),
        "tls-port" => "0".into(),
        "unixsocket" => socket(),
        "config-file" => file.map_or_else(String::new, |path| path.display().to_string()),
        _ => return None,
    })
}

/// Shows the server's title, if it is to have one.
pub fn show(node: &Node) {
    let config = node.config();
    if !config.set_proc_title {
        return;
    }
    let program = title::program().to_string_lossy();
    if let Some(text) = fill(&config.proc_title_template, &program, &config, node.config_file.as_deref()) {
        title::set(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled() {
        let mut config = Config::default();
        config.port = 6380;
        let file = Path::new("/etc/a.conf");
        let filled = |template: &str, config: &Config| fill(template, "prog", config, Some(file));
        let shown = |template: &str, config: &Config| filled(template, config).unwrap_or_default();
        assert_eq!(shown("{title} {listen-addr} {server-mode}", &config), "prog *:6380");
        config.bind = vec!["127.0.0.1".into(), "::1".into()];
        assert_eq!(shown("{title} {listen-addr} {server-mode}", &config), "prog 127.0.0.1:6380");
        assert_eq!(shown("{{{port}} {tls-port} {config-file}", &config), "{6380} 0 /etc/a.conf");
        config.unixsocket = Some("/run/s".into());
        config.port = 0;
        assert_eq!(shown(" a {listen-addr} {unixsocket} ", &config), "a /run/s /run/s");
        for wrong in ["", "  ", "{server-mode}", "{nosuch}", "{title", "{", "{}", "{title {port}}"] {
            assert_eq!(filled(wrong, &config), None, "{wrong}");
        }
    }
}
