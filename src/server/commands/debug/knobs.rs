//! DEBUG's settings that are no directives.

use super::is_on;
use crate::server::commands::Call;
use crate::server::config::Config;
use crate::server::config::values::memory;
use crate::server::dispatch::Next;

/// Elements of lists stay a little below 4 GiB.
const PACKED_THRESHOLD_MAX_BYTES: u64 = (1 << 32) - (1 << 20);

fn change(call: &mut Call<'_, '_>, set: impl FnOnce(&mut Config)) -> Next {
    let Ok(()) = call.node.change_config(|config| {
        set(config);
        Ok::<(), std::convert::Infallible>(())
    });
    // Also for the commands behind it in the same batch.
    call.session.settings = call.node.settings();
    call.ok()
}

pub(super) fn packed_threshold(call: &mut Call<'_, '_>) -> Next {
    match memory(call.args[2], 0, PACKED_THRESHOLD_MAX_BYTES) {
        Ok(bytes) => change(call, |config| config.list_packed_threshold_bytes = bytes as usize),
        Err(_) => call.error("ERR argument must be a memory value bigger than 1 and smaller than 4gb"),
    }
}

pub(super) fn skip_checksums(call: &mut Call<'_, '_>) -> Next {
    let skip = is_on(call.args[2]);
    change(call, |config| config.skip_checksum_validation = skip)
}
