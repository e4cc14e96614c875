/// What a typical call says, as plain values; every codec's answer is turned into this and compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) app_path: String,
    pub(crate) action: String,
    /// First positional argument.
    pub(crate) image: Vec<u8>,
    /// Second positional argument.
    pub(crate) format: String,
    /// Third positional argument.
    pub(crate) quality: i64,
    /// Keyword argument.
    pub(crate) size: i64,
    /// Keyword argument.
    pub(crate) name: String,
}

impl Request {
    pub(crate) fn with_image(image_len: usize) -> Self {
        Self {
            app_path: "images:ImageApp".into(),
            action: "thumbnail".into(),
            image: (0..=u8::MAX).cycle().take(image_len).collect(),
            format: "webp".into(),
            quality: 85,
            size: 128,
            name: "summer-at-the-lake.jpg".into(),
        }
    }
}

/// The same with everything borrowed: what a decoder that looked at each field has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestView<'a> {
    pub(crate) app_path: &'a str,
    pub(crate) action: &'a str,
    pub(crate) image: &'a [u8],
    pub(crate) format: &'a str,
    pub(crate) quality: i64,
    pub(crate) size: i64,
    pub(crate) name: &'a str,
}

impl Request {
    pub(crate) fn view(&self) -> RequestView<'_> {
        RequestView {
            app_path: &self.app_path,
            action: &self.action,
            image: &self.image,
            format: &self.format,
            quality: self.quality,
            size: self.size,
            name: &self.name,
        }
    }
}
