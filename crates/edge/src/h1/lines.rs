//! Copying the lines of a message's fields, unchanged and in as large runs as possible.
//!
//! Knows nothing about what the fields mean.

use httparse::Header;

/// Appends the lines of the fields that `keep` wants, neighbours in one go. The lines were checked to be
/// whole, so their raw bytes mean what they were parsed as.
pub(crate) fn copy_fields(
    out: &mut Vec<u8>,
    head: &[u8],
    fields: &[Header<'_>],
    mut keep: impl FnMut(usize, &str) -> bool,
) {
    let base = head.as_ptr() as usize;
    let start_of = |header: &Header<'_>| (header.name.as_ptr() as usize).saturating_sub(base);
    // The empty line that ends the head is not a field's.
    let end_of_fields = head.len().saturating_sub(2);
    let mut run: Option<usize> = None;
    let mut flush = |run: &mut Option<usize>, to: usize| {
        if let Some(lines) = run.take().and_then(|from| head.get(from..to)) {
            out.extend_from_slice(lines);
        }
    };
    for (index, header) in fields.iter().enumerate() {
        let start = start_of(header);
        if keep(index, header.name) {
            run.get_or_insert(start);
        } else {
            flush(&mut run, start);
        }
    }
    flush(&mut run, end_of_fields);
}
