//! What is written to the disk, by whom, and what a start does.

use super::*;
use crate::server::config::settings::{AppendFsync, RolePersistence};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

pub(super) static DIRECTIVES: &[Directive] = &[
    Directive::new(
        "dir",
        Kind::Text {
            get: |c| c.dir.as_os_str().as_bytes().to_vec(),
            set: |c, value| {
                if value.is_empty() {
                    return Err("dir can't be empty".into());
                }
                c.dir = std::ffi::OsString::from_vec(value.to_vec()).into();
                Ok(())
            },
        },
        "Folder of everything the server writes.",
    )
    .immutable()
    .protected()
    .default_note("the folder the server was started in"),
    file_name!("dbfilename", dbfilename, "Name of the snapshot file in `dir`.").protected(),
    Directive::new(
        "save",
        Kind::Special {
            form: "SECONDS CHANGES … | \"\"",
            list: true,
            get: |c, role| values::save_text(c.effective_save(role)).into(),
            set: set_save,
            lines: |c| match c.save.as_deref() {
                None => Vec::new(),
                Some([]) => vec![vec![Vec::new()]],
                Some(rules) => rules.iter().map(|r| vec![r.seconds.to_string().into(), r.changes.to_string().into()]).collect(),
            },
        },
        "Snapshot after SECONDS if CHANGES keys changed; repeatable, and `\"\"` clears the rules.",
    )
    .bare()
    .start_over(&[""])
    .default_note("by role: none on a primary, `3600 1 300 100 60 10000` on a replica"),
    Directive::new(
        "appendonly",
        Kind::Special {
            form: "yes | no",
            list: false,
            get: |c, role| values::yes_no_word(c.effective_appendonly(role)).into(),
            set: |c, args, _| match args {
                [arg] => {
                    c.appendonly = Some(values::yes_no(arg)?);
                    Ok(())
                }
                _ => Err("wrong number of arguments".into()),
            },
            lines: |c| c.appendonly.map(|on| vec![values::yes_no_word(on).into()]).into_iter().collect(),
        },
        "Write every change to the append-only files.",
    )
    .default_note("by role: `no` on a primary, `yes` on a replica"),
    word!("role-persistence", role_persistence: RolePersistence, "`auto`: the role decides what is written unless `appendonly` or `save` is set. `off`: stock Redis's defaults.").immutable(),
    yes_no!("stop-writes-on-bgsave-error", stop_writes_on_bgsave_error, "Refuse writes after a failed snapshot while save rules are set."),
    yes_no!("disable-thp", disable_thp, "Have the kernel use no huge pages, of which a write beside a child's snapshot copies 2 MiB at once.").immutable(),
    yes_no!("rdbcompression", rdbcompression, "Compress long strings in snapshots."),
    yes_no!("rdbchecksum", rdbchecksum, "Put a checksum at the end of snapshots, and verify it.").immutable(),
    file_name!("appendfilename", appendfilename, "Start of the names of the append-only files and their manifest.").immutable(),
    file_name!("appenddirname", appenddirname, "Folder of the append-only files, inside `dir`.").immutable(),
    word!("appendfsync", appendfsync: AppendFsync, "When the append-only file is forced to the disk."),
    yes_no!("no-appendfsync-on-rewrite", no_appendfsync_on_rewrite, "Do not force the file to the disk while a child writes a snapshot or rewrite."),
    integer!("auto-aof-rewrite-percentage", auto_aof_rewrite_percentage: u32, 0, INT_MAX, "Rewrite when the files have grown by this many percent; 0 never does."),
    memory!("auto-aof-rewrite-min-size", auto_aof_rewrite_min_size_bytes: u64, 0, i64::MAX as u64, "Never rewrite automatically below this size."),
    yes_no!("aof-load-truncated", aof_load_truncated, "Start although the last append-only file ends in the middle of a command."),
    yes_no!("aof-timestamp-enabled", aof_timestamp_enabled, "Annotate the append-only file with the time, for restores to a point in time."),
    integer!("keep-generations", keep_generations: u32, 0, 1000, "Earlier generations (a base and its log files) kept on disk after a rewrite or full sync. (Ours.)"),
    integer!("snapshot-child-nice", snapshot_child_nice: u8, 0, 19, "How much less of the processors a snapshot or rewrite child may claim than the server: its niceness above the server's. (Ours.)"),
    integer!("snapshot-child-timeout-ms", snapshot_child_timeout_ms: u64, 0, i64::MAX, "End a snapshot or rewrite child that makes no progress for this many milliseconds; 0 never does. (Ours.)"),
    Directive::new(
        "recover-from-peers",
        Kind::Special {
            form: "HOST:PORT …",
            list: true,
            get: |c, _| peers(c).join(&b' '),
            set: set_peers,
            lines: |c| match c.recover_from_peers.is_empty() {
                true => Vec::new(),
                false => vec![peers(c)],
            },
        },
        "Nodes to ask for the most advanced history when this node starts without one; repeatable. (Ours.)",
    )
    .start_over(&[""]),
    integer!("rdb-key-save-delay", rdb_key_save_delay_us: i64, i32::MIN as i64, INT_MAX, "Microseconds that the writer of a snapshot rests after each key; if negative, the number of keys after which it rests for one.").hidden(),
    yes_no!("start-new-history", start_new_history, "When no history is found, on disk or at a peer, start a new, empty one instead of staying fenced. For one start: CONFIG REWRITE drops it. (Ours.)")
        .immutable()
        .transient(),
];

fn set_save(config: &mut Config, args: &[Vec<u8>], origin: Origin) -> Result<(), Refusal> {
    let mut rules = values::save_rules(args)?;
    match (&mut config.save, origin) {
        // Lines of a file add up, except that an empty one starts over.
        (Some(have), Origin::File) if !rules.is_empty() => have.append(&mut rules),
        (have, _) => *have = Some(rules),
    }
    Ok(())
}

fn set_peers(config: &mut Config, args: &[Vec<u8>], origin: Origin) -> Result<(), Refusal> {
    let given: Result<Vec<_>, _> =
        args.iter().filter(|a| !a.is_empty()).map(|a| values::address(a)).collect();
    let given = given?;
    if origin == Origin::Runtime || given.is_empty() {
        config.recover_from_peers.clear();
    }
    for peer in given {
        if !config.recover_from_peers.contains(&peer) {
            config.recover_from_peers.push(peer);
        }
    }
    Ok(())
}

fn peers(config: &Config) -> Vec<Vec<u8>> {
    config.recover_from_peers.iter().map(|peer| peer.to_string().into_bytes()).collect()
}
