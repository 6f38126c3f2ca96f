//! Registers of six bits, packed from the lowest bit of the first byte on.

/// Calls `each` with every register in order.
pub(super) fn for_each(registers: &[u8], mut each: impl FnMut(u8)) {
    for [a, b, c] in registers.as_chunks::<3>().0 {
        each(a & 63);
        each((a >> 6 | b << 2) & 63);
        each((b >> 4 | c << 4) & 63);
        each(c >> 2);
    }
}

/// The bytes a register lies in as one word, and the register's place in it.
fn word_of(registers: &[u8], index: usize) -> (usize, u32, u16) {
    let (at, shift) = (index * 6 / 8, (index * 6 % 8) as u32);
    let byte = |at: usize| registers.get(at).copied().map_or(0, u16::from);
    (at, shift, byte(at) | byte(at + 1) << 8)
}

/// A register's value; 0 behind the end.
pub(super) fn get(registers: &[u8], index: usize) -> u8 {
    let (_, shift, word) = word_of(registers, index);
    (word >> shift & 63) as u8
}

/// Sets a register.
pub(super) fn set(registers: &mut [u8], index: usize, value: u8) {
    let (at, shift, word) = word_of(registers, index);
    let word = word & !(63 << shift) | u16::from(value & 63) << shift;
    for (byte, new) in registers.iter_mut().skip(at).zip(word.to_le_bytes()) {
        *byte = new;
    }
}

/// Sets a register to `rank` if that is more than it has; says whether it was.
pub(super) fn raise(registers: &mut [u8], index: usize, rank: u8) -> bool {
    let raises = rank > get(registers, index);
    if raises {
        set(registers, index, rank);
    }
    raises
}
