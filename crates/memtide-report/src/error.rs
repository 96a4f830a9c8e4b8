//! What can go wrong when a picture or a page is made. Text and JSON cannot fail.

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The scale is not a number or out of the range of [`crate::png::render`].
    #[error("picture scale {0}: must be between 0.25 and 8")]
    Scale(f32),
    /// The canvas of that many pixels could not be made.
    #[error("picture of {0} by {1} pixels: cannot be painted")]
    Canvas(u32, u32),
    /// The embedded font could not be read: a fault in the build.
    #[error("embedded font: cannot be read")]
    Font,
    /// The chart could not be composed.
    #[error("composing the chart: {0}")]
    Compose(String),
    /// The painted picture could not be encoded.
    #[error("encoding the picture: {0}")]
    Encode(String),
}
