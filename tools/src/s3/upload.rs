//! A file to an object, in parts.

use super::S3Error;
use super::bucket::Bucket;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::multipart::PartId;
use outrigger::backup::Progress;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes of a part, where the file is not too long for that. So many, and as many again in each of [`PARTS_AT_ONCE`], are in memory.
pub const PART_BYTES: u64 = 8 << 20;
/// Parts that are under way at once.
const PARTS_AT_ONCE: usize = 4;
/// An upload has 10,000 parts at most.
const MAX_PARTS: u64 = 9_000;

/// All parts but the last are of one length, which some stores ask for.
fn part_bytes(file_bytes: u64) -> u64 {
    PART_BYTES.max(file_bytes.div_ceil(MAX_PARTS).next_multiple_of(1 << 20))
}

/// Sends a file as the parts of an upload that has begun.
pub fn send(
    bucket: &Bucket,
    object: &str,
    upload: &String,
    path: &Path,
    progress: &Progress<'_>,
) -> Result<Vec<PartId>, S3Error> {
    let fail = |error| S3Error::Disk { doing: "read", path: path.to_owned(), error };
    let file = File::open(path).map_err(fail)?;
    let total = file.metadata().map_err(fail)?.len();
    let part_bytes = part_bytes(total);
    let doing = bucket.about("uploading", object);
    let (file, doing) = (&file, &*doing);
    let send_part = |number: u64| async move {
        let from = number * part_bytes;
        let length = part_bytes.min(total - from);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        file.read_exact_at(&mut bytes, from).map_err(fail)?;
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        let sent = bucket.put_part(object, upload, number, Bytes::from(bytes)).await;
        sent.map(|id| (id, length)).map_err(|error| bucket.explained(doing, &error))
    };
    let mut done = 0;
    let parts = stream::iter(0..total.div_ceil(part_bytes)).map(send_part).buffered(PARTS_AT_ONCE);
    let told = parts.map_ok(|(id, length)| {
        done += length;
        progress("uploading", done, total);
        id
    });
    bucket.run_any(told.try_collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_few_enough_and_equal() {
        for (bytes, part) in [(0, PART_BYTES), (1, PART_BYTES), (70 << 30, PART_BYTES), (90 << 30, 11 << 20)]
        {
            assert_eq!(part_bytes(bytes), part, "{bytes}");
        }
        let most = 5 << 40;
        assert!(most / part_bytes(most) < 10_000);
    }
}
