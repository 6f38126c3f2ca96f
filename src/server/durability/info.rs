//! INFO persistence.

use super::keeper::JobKind;
use crate::persistence::writer::{Phase, WriterFigures};
use crate::server::Node;
use crate::server::gate::bits;
use crate::server::stats::get;
use std::fmt::Write;

/// The section's lines (with line ends, without the heading).
pub fn section(node: &Node, now_ms: i64) -> String {
    let status = node.durability.save_status();
    let figures = node.durability.inner.lock().writer.as_ref().map(|writer| writer.figures());
    let phase = figures.as_ref().map_or(Phase::Off, |figures| figures.phase);
    let running = |kind: JobKind| u8::from(status.running == Some(kind));
    let since = |kind: JobKind| match status.running == Some(kind) {
        true => now_ms.saturating_sub(status.started_at_ms).max(0) / 1000,
        false => -1,
    };
    let word = |ok: bool| if ok { "ok" } else { "err" };
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "loading:{}\r\nasync_loading:0\r\ncurrent_save_keys_processed:{}\r\n\
         rdb_changes_since_last_save:{}\r\nrdb_bgsave_in_progress:{}\r\nrdb_last_save_time:{}\r\n\
         rdb_last_bgsave_status:{}\r\nrdb_last_bgsave_time_sec:{}\r\nrdb_current_bgsave_time_sec:{}\r\n\
         rdb_saves:{}\r\nrdb_last_cow_size:{}\r\n",
        u8::from(node.gate.has(bits::LOADING)),
        if status.running.is_some() { status.keys_done } else { 0 },
        get(&node.changes),
        running(JobKind::Snapshot),
        status.last_save_s,
        word(status.save_ok),
        status.save_took_s,
        since(JobKind::Snapshot),
        status.saves,
        status.save_cow_bytes,
    );
    if node.gate.has(bits::LOADING) {
        node.durability.loading.write_info(&mut text, now_ms);
    }
    let _ = write!(
        text,
        "aof_enabled:{}\r\naof_rewrite_in_progress:{}\r\naof_rewrite_scheduled:{}\r\n\
         aof_last_rewrite_time_sec:{}\r\naof_current_rewrite_time_sec:{}\r\naof_last_bgrewrite_status:{}\r\n\
         aof_rewrites:{}\r\naof_last_write_status:{}\r\naof_last_cow_size:{}\r\n",
        u8::from(phase != Phase::Off),
        running(JobKind::Rewrite),
        u8::from(status.rewrite_scheduled),
        status.rewrite_took_s,
        since(JobKind::Rewrite),
        word(status.rewrite_ok),
        status.rewrites,
        word(phase != Phase::Broken),
        status.rewrite_cow_bytes,
    );
    if let Some(figures) = figures.filter(|figures| figures.phase != Phase::Off) {
        write_figures(&mut text, figures);
    }
    if let Some(error) = status.last_error {
        let _ = write!(text, "outrigger_last_disk_error:{}\r\n", error.replace(['\r', '\n'], " "));
    }
    text
}

/// How the append-only file is being written.
fn write_figures(text: &mut String, figures: WriterFigures) {
    let _ = write!(
        text,
        "aof_current_size:{}\r\naof_base_size:{}\r\naof_pending_rewrite:0\r\naof_buffer_length:{}\r\n\
         aof_pending_bio_fsync:{}\r\naof_delayed_fsync:{}\r\noutrigger_aof_phase:{}\r\noutrigger_aof_written_offset:{}\r\n\
         outrigger_aof_fsyncs:{}\r\noutrigger_aof_fsync_last_us:{}\r\noutrigger_aof_fsync_max_us:{}\r\n",
        figures.current_bytes,
        figures.base_bytes,
        figures.pending_bytes,
        u8::from(figures.fsyncing),
        figures.delayed_fsyncs,
        phase_word(figures.phase),
        figures.written_offset,
        figures.fsyncs,
        figures.fsync_last_us,
        figures.fsync_max_us,
    );
    if let Some(error) = figures.last_error {
        let _ = write!(text, "outrigger_aof_error:{}\r\n", error.replace(['\r', '\n'], " "));
    }
}

fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Off => "off",
        Phase::Writing => "writing",
        Phase::Building => "building",
        Phase::Broken => "broken",
    }
}
