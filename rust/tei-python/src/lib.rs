//! Python bindings of `tei-core`: conversions only, no algorithm.
mod arrow;
mod counts;
mod encoder;
mod errors;
mod files;
mod grow;
mod rows;
mod texts;
mod tracker;
mod trainer;
mod trim;
mod usage;

use pyo3::prelude::*;

/// Number of processors this process may use, by affinity and by the quota of its control group.
#[pyfunction]
fn cpu_count() -> usize {
    tei_core::parallel::processors()
}

/// Objects of Python lie on 16 bytes: what holds vectors has to be in a box.
const fn fits<T>() {
    assert!(align_of::<T>() <= 16);
}

const _: () = {
    fits::<counts::WordCounter>();
    fits::<counts::WordCounts>();
    fits::<encoder::Encoder>();
    fits::<files::Rows>();
    fits::<files::TextFile>();
    fits::<rows::RowPlan>();
    fits::<tracker::Tracker>();
};

/// The compiled half of `tei`.
#[pymodule(gil_used = false)]
mod _core {
    /// Version of the package.
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    #[pymodule_export]
    use crate::counts::{WordCounter, WordCounts};
    #[pymodule_export]
    use crate::cpu_count;
    #[pymodule_export]
    use crate::encoder::Encoder;
    #[pymodule_export]
    use crate::files::{Rows, TextFile};
    #[pymodule_export]
    use crate::grow::grow;
    #[pymodule_export]
    use crate::rows::RowPlan;
    #[pymodule_export]
    use crate::texts::are_str;
    #[pymodule_export]
    use crate::tracker::Tracker;
    #[pymodule_export]
    use crate::trainer::{byte_letters, byte_words, normalize, train};
    #[pymodule_export]
    use crate::trim::{forecast, trim_along, trim_order};
    #[pymodule_export]
    use crate::usage::{alphabet, count_usage, framed, hold_out, lengths, spell, split_words};
}
