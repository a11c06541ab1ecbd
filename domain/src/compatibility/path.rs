//! Where in a body something stands, without building texts that nobody reads.

use std::fmt;

/// A field below others, dotted when shown. What is within an array or a map has the array's or the map's path.
#[derive(Clone, Copy)]
pub(super) struct Path<'p> {
    above: Option<&'p Self>,
    name: &'p str,
}

impl<'p> Path<'p> {
    /// The body itself.
    pub(super) const fn top() -> Self {
        Path {
            above: None,
            name: "",
        }
    }

    /// A field of this one.
    pub(super) const fn field(&'p self, name: &'p str) -> Self {
        Path {
            above: Some(self),
            name,
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(above) = self.above {
            above.fmt(formatter)?;
            if !above.name.is_empty() {
                formatter.write_str(".")?;
            }
        }
        formatter.write_str(self.name)
    }
}
