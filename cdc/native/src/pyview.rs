//! A part of a batch's memory that C code may read as it reads `bytes`, without a copy.

use std::ffi::c_int;
use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;

use crate::batch::Span;

/// Has the buffer protocol without a release: what Python's `z#` asks for, and librdkafka's binding with it.
#[pyclass(frozen)]
pub struct View {
    bytes: Arc<Vec<u8>>,
    span: Span,
}

impl View {
    pub fn new(bytes: Arc<Vec<u8>>, span: Span) -> PyResult<View> {
        match bytes.get(span.start..span.end) {
            Some(_) => Ok(View { bytes, span }),
            None => Err(PyValueError::new_err("the batch's records were released")),
        }
    }
}

#[pymethods]
impl View {
    fn __len__(&self) -> usize {
        self.span.len()
    }

    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let shown = slf.get();
        let bytes = &shown.bytes[shown.span.start..shown.span.end];
        let (data, length) = (bytes.as_ptr().cast_mut().cast(), bytes.len() as ffi::Py_ssize_t);
        // SAFETY: the memory never changes, and stays as long as this object, which the view holds on to.
        match unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), data, length, 1, flags) } {
            0 => Ok(()),
            _ => Err(PyErr::fetch(slf.py())),
        }
    }
}
