//! Listeners, connections and what clients may do.

use super::*;
use crate::base::limits;
use crate::server::config::settings::DebugAccess;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

pub(super) static DIRECTIVES: &[Directive] = &[
    integer!("port", port: u16, 0, 65535, "TCP port to listen on; 0 listens on none."),
    Directive::new(
        "bind",
        Kind::Special {
            form: "ADDRESS …",
            list: true,
            get: |c, _| c.bind.join(" ").into(),
            set: |c, args, _| {
                c.bind = values::bind_addresses(args)?;
                Ok(())
            },
            lines: |c| match c.bind.is_empty() {
                true => vec![vec![Vec::new()]],
                false => vec![c.bind.iter().map(|a| a.clone().into_bytes()).collect()],
            },
        },
        "Addresses to listen on; one with a leading `-` may be missing from this machine. The last line counts.",
    )
    .bare(),
    yes_no!("protected-mode", protected_mode, "Without a password, serve loopback clients only."),
    integer!("tcp-backlog", tcp_backlog: u32, 0, INT_MAX, "Connections that may wait to be accepted.").immutable(),
    integer!("timeout", timeout_seconds: u32, 0, INT_MAX, "Close clients idle for this many seconds; 0 never does."),
    integer!("tcp-keepalive", tcp_keepalive_seconds: u32, 0, INT_MAX, "Seconds between probes of silent connections; 0 sends none."),
    Directive::new(
        "unixsocket",
        Kind::Text {
            get: |c| c.unixsocket.as_ref().map_or_else(Vec::new, |p| p.as_os_str().as_bytes().to_vec()),
            set: |c, value| {
                c.unixsocket = (!value.is_empty()).then(|| std::ffi::OsString::from_vec(value.to_vec()).into());
                Ok(())
            },
        },
        "Path of a Unix socket to listen on besides TCP.",
    )
    .immutable(),
    Directive::new(
        "unixsocketperm",
        Kind::Octal { max: 0o777, get: |c| c.unixsocket_mode, set: |c, mode| c.unixsocket_mode = mode },
        "Permissions of the Unix socket in octal; 0 leaves them to the umask.",
    )
    .immutable(),
    integer!("io-threads", io_threads: usize, 1, 128, "Threads that serve connections; each runs the commands it reads.")
        .immutable()
        .default_note("2 to 4, by the number of cores"),
    integer!("tracking-table-max-keys", tracking_table_max_keys: u64, 0, i64::MAX, "Keys remembered at most for CLIENT TRACKING; beyond, readers are told of one as if it had changed. 0: any number."),
    integer!("maxclients", maxclients: u32, 1, u32::MAX as i64, "Most clients connected at once."),
    memory!("proto-max-bulk-len", proto_max_bulk_bytes: u64, 1 << 20, limits::ARG_MOST_BYTES, "Longest single argument of a command."),
    memory!("client-query-buffer-limit", client_query_buffer_limit_bytes: u64, 1 << 20, i64::MAX as u64, "Most unparsed input one client may pile up."),
    Directive::new(
        "client-output-buffer-limit",
        Kind::Special {
            form: "CLASS HARD SOFT SOFT-SECONDS …",
            list: true,
            get: |c, _| values::buffer_limits_text(&c.client_output_buffer_limit).into(),
            set: |c, args, _| {
                c.client_output_buffer_limit = values::buffer_limits(args, c.client_output_buffer_limit)?;
                Ok(())
            },
            lines: output_buffer_lines,
        },
        "Most unsent output of a client of class `normal`, `replica` or `pubsub` (which those that MONITOR fall under, too): at once, or for some seconds. 0 is no limit.",
    ),
    secret!("requirepass", requirepass, "Password of the default user; empty asks for none."),
    word!("enable-debug-command", enable_debug_command: DebugAccess, "Who may use DEBUG: nobody, everybody, or clients on this machine. (Stock Redis: no.)").immutable(),
    word!("enable-protected-configs", enable_protected_configs: DebugAccess, "Who may CONFIG SET the protected directives.").immutable(),
];

fn output_buffer_lines(config: &Config) -> Vec<Args> {
    let limits = &config.client_output_buffer_limit;
    let classes = [("normal", limits.normal), ("replica", limits.replica), ("pubsub", limits.pubsub)];
    let line = |(name, limit): (&str, super::super::settings::BufferLimit)| {
        vec![
            name.into(),
            values::memory_spelled(limit.hard_bytes).into(),
            values::memory_spelled(limit.soft_bytes).into(),
            limit.soft_seconds.to_string().into(),
        ]
    };
    classes.into_iter().map(line).collect()
}
