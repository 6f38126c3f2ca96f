use super::*;
use crate::base::random::Rng;
use crate::format::aof::seal::{Epoch, Lineage, Sealer};
use crate::resp::write_command;
use crate::sys::Disk;
use crate::sys::fault::FaultDisk;
use std::path::Path;

const SMALL: JudgePlan = JudgePlan { threads: 3, part_bytes: 400 };
const ALONE: JudgePlan = JudgePlan { threads: 1, part_bytes: 0 };

/// Counts, and notes where things were.
#[derive(Default, Debug, PartialEq, Eq)]
struct Notes(Vec<(usize, usize, Option<u64>)>);

impl Watcher for Notes {
    fn command(&mut self, met: &MetCommand<'_>) {
        self.0.push((met.at, met.arg_count, met.offset));
    }

    fn mark(&mut self, _mark: &Mark, at: usize) {
        self.0.push((at, 0, None));
    }
}

fn log(rng: &mut Rng, sealed: bool) -> Vec<u8> {
    let (mut out, mut one) = (Vec::new(), Vec::new());
    let mut sealer =
        sealed.then(|| Sealer::start_in(Lineage::random(rng), 77, 3, Epoch::FIRST, 1_000, &mut out));
    for turn in 0..150u64 {
        one.clear();
        let inside = rng.below(8);
        let value = match rng.below(20) {
            // What looks like a seal or like commands, inside a value.
            0 => String::from_utf8_lossy(out.get(..120.min(out.len())).unwrap_or_default())
                .replace("-LOG", "-SEAL"),
            1 => "x\r\n*1\r\n$8\r\nFLUSHALL\r\n".repeat(3),
            2 => "#OUTRIGGER-SEAL v1 t=".to_owned(),
            _ => "v".repeat(rng.below(90) as usize),
        };
        if inside == 0 {
            write_command(&mut one, &["MULTI"]);
            write_command(&mut one, &["SET", "a", &value]);
            write_command(&mut one, &["INCR", "b"]);
            write_command(&mut one, &["EXEC"]);
        } else {
            write_command(&mut one, &["SET", "key", &value]);
        }
        match &mut sealer {
            Some(sealer) => {
                sealer.feed(&one);
                out.extend_from_slice(&one);
                if rng.below(3) == 0 || turn == 149 {
                    match rng.below(30) {
                        0 => sealer.change_lineage(Lineage::random(rng), turn * 1000, &mut out),
                        1 => {
                            sealer.set_epoch(Epoch { number: turn + 1, since: 5 });
                            sealer.seal(turn * 1000, &mut out);
                        }
                        _ => sealer.seal(turn * 1000, &mut out),
                    }
                }
            }
            None => {
                if inside == 1 {
                    out.extend_from_slice(format!("#TS:{turn}\r\n").as_bytes());
                }
                out.extend_from_slice(&one);
            }
        }
    }
    out
}

fn judged(bytes: &[u8], plan: JudgePlan) -> (Verdict, Vec<(usize, usize, Option<u64>)>) {
    let disk = FaultDisk::new(1);
    let path = Path::new("/log");
    disk.put(path, bytes);
    let file = disk.read_sealed(path).unwrap();
    let looking = Looking { watcher: &Notes::default, progress: &|_| () };
    let (verdict, notes) = judge(&LogVerifier::new(), &file, 0, plan, &looking);
    let notes = notes.into_iter().flat_map(|notes| notes.0);
    // What lies behind the verdict's extent was not there, however far somebody looked.
    (verdict, notes.filter(|note| note.0 < verdict.extent().len).collect())
}

#[test]
fn parts_come_to_the_verdict_of_one_walk() {
    let mut rng = Rng::from_seed(9);
    let mut sound = 0;
    for round in 0..600 {
        let mut bytes = log(&mut rng, round % 2 == 0);
        let len = bytes.len();
        let at = rng.below(len as u64) as usize;
        match round % 7 {
            0 => {}
            1 | 2 => bytes[at] ^= 1 << rng.below(8),
            3 => bytes.truncate(at),
            4 => drop(bytes.drain(at..(at + 1 + rng.below(300) as usize).min(len))),
            5 => bytes.extend(vec![0; 50]),
            _ => {
                let piece = bytes[at..(at + 200).min(len)].to_vec();
                bytes.splice(at..at, piece);
            }
        }
        let (one, several) = (judged(&bytes, ALONE), judged(&bytes, SMALL));
        assert_eq!(one, several, "round {round}, byte {at}");
        sound += usize::from(one.0.is_sound());
    }
    assert!((80..300).contains(&sound), "{sound}");
}

#[test]
fn a_log_of_seals_is_cut_at_each_part() {
    let mut rng = Rng::from_seed(10);
    let bytes = log(&mut rng, true);
    let (mut cutter, mut parts) = (LogCutter::new(&bytes), Vec::new());
    while let Some(part) = cutter.next_part(400, &mut |_| ()) {
        parts.push(part);
    }
    assert!(parts.len() >= 5, "{parts:?}");
    assert!(parts.windows(2).all(|pair| pair[1].start.map(|start| start.len) == Some(pair[0].end)));
    assert_eq!(parts.last().map(|part| part.end), Some(bytes.len()));
}
