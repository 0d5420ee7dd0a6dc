//! The module that Python sees.

use pyo3::prelude::*;

#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::intake::intake;
    #[pymodule_export]
    use crate::pyskim::{Seen, skim};
}
