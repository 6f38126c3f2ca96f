//! The process: databases, logging, shutdown, housekeeping.

use super::*;
use crate::command::WantedEvents;
use crate::server::config::settings::LogLevel;

pub(super) static DIRECTIVES: &[Directive] = &[
    integer!("databases", databases: u32, 1, INT_MAX, "Number of databases SELECT can choose from.")
        .immutable(),
    word!("loglevel", loglevel: LogLevel, "Least important messages that are still logged."),
    text!("logfile", logfile, "File to log to; empty logs to the standard output.").immutable(),
    text!("pidfile", pidfile, "File that holds the process id while the server runs; empty writes none.")
        .immutable(),
    yes_no!(
        "set-proc-title",
        set_proc_title,
        "Show the server's title among the processes in place of its arguments."
    )
    .immutable(),
    Directive::new(
        "proc-title-template",
        Kind::Text {
            get: |c| c.proc_title_template.clone().into_bytes(),
            set: |c, value| {
                let template = values::text(value)?;
                // Of the title it is only known that there is one.
                crate::server::proc_title::fill(&template, "", c, None)
                    .ok_or("template format is invalid or contains unknown variables")?;
                c.proc_title_template = template;
                Ok(())
            },
        },
        "The title; `{title}`, `{listen-addr}`, `{server-mode}`, `{port}`, `{tls-port}`, `{unixsocket}` and `{config-file}` are filled in.",
    ),
    integer!("shutdown-timeout", shutdown_timeout_seconds: u32, 0, INT_MAX, "Seconds a shutdown waits for lagging replicas."),
    Directive::new(
        "shutdown-on-sigint",
        Kind::Special {
            form: "default | save | nosave | now | force …",
            list: true,
            get: |c, _| values::shutdown_text(c.shutdown_on_sigint).into(),
            set: |c, args, _| {
                c.shutdown_on_sigint = values::shutdown_options(args)?;
                Ok(())
            },
            lines: |c| shutdown_lines(values::shutdown_text(c.shutdown_on_sigint)),
        },
        "How SIGINT shuts the server down.",
    ),
    Directive::new(
        "shutdown-on-sigterm",
        Kind::Special {
            form: "default | save | nosave | now | force …",
            list: true,
            get: |c, _| values::shutdown_text(c.shutdown_on_sigterm).into(),
            set: |c, args, _| {
                c.shutdown_on_sigterm = values::shutdown_options(args)?;
                Ok(())
            },
            lines: |c| shutdown_lines(values::shutdown_text(c.shutdown_on_sigterm)),
        },
        "How SIGTERM shuts the server down.",
    ),
    Directive::new(
        "hz",
        // Redis takes any integer here and brings it into range silently.
        Kind::Integer {
            min: 0,
            max: INT_MAX,
            get: |c| c.hz as i64,
            set: |c, hz| c.hz = hz.clamp(1, 500) as u32,
        },
        "Rounds of background work a second, brought into 1 to 500.",
    ),
    yes_no!("dynamic-hz", dynamic_hz, "Do more rounds of background work when many clients are connected."),
    Directive::new(
        "notify-keyspace-events",
        Kind::Text {
            get: |c| c.notify_keyspace_events.to_string().into_bytes(),
            set: |c, text| {
                let wanted = WantedEvents::parse(text);
                c.notify_keyspace_events =
                    wanted.ok_or("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")?;
                Ok(())
            },
        },
        "Which changes of keys subscribers are told: K by key, E by event, of the classes g $ l s h z x e t d (A: all these) m n.",
    ),
    integer!("slowlog-log-slower-than", slowlog_slower_than_us: i64, -1, i64::MAX, "Log commands that take longer, in microseconds; 0 logs all, -1 none."),
    integer!("slowlog-max-len", slowlog_max_len: usize, 0, i64::MAX, "Entries the slow log keeps."),
    integer!("latency-monitor-threshold", latency_monitor_threshold_ms: u64, 0, i64::MAX, "Record events that take at least this many milliseconds; 0 records none."),
    yes_no!(
        "latency-tracking",
        latency_tracking,
        "Count how long the calls of each command take, for LATENCY HISTOGRAM and INFO latencystats."
    ),
    Directive::new(
        "latency-tracking-info-percentiles",
        Kind::Special {
            form: "percent …",
            list: true,
            get: |c, _| values::percentiles_text(&c.latency_percentiles).into(),
            set: |c, args, _| {
                c.latency_percentiles = values::percentiles(args)?;
                Ok(())
            },
            lines: |c| vec![percentiles_line(&c.latency_percentiles)],
        },
        "The percentiles that INFO latencystats shows.",
    ),
];

fn percentiles_line(percentiles: &[f64]) -> Args {
    match percentiles {
        [] => vec![Vec::new()],
        _ => percentiles.iter().map(|percent| values::short_decimal(*percent).into()).collect(),
    }
}

fn shutdown_lines(text: String) -> Vec<Args> {
    vec![text.split(' ').map(|word| word.as_bytes().to_vec()).collect()]
}
