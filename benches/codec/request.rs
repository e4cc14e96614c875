use serde::{Deserialize, Serialize};

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

impl Request {
    /// As a user of serde would write it.
    pub(crate) fn typed(&self) -> Owned {
        let Request { app_path, action, image, format, quality, size, name } = self.clone();
        Owned { app_path, action, args: (image.into(), format, quality), kwargs: OwnedKwargs { size, name } }
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Owned {
    app_path: String,
    action: String,
    args: (serde_bytes::ByteBuf, String, i64),
    kwargs: OwnedKwargs,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct OwnedKwargs {
    size: i64,
    name: String,
}

#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct Borrowed<'a> {
    app_path: &'a str,
    action: &'a str,
    #[serde(borrow)]
    args: (&'a serde_bytes::Bytes, &'a str, i64),
    kwargs: BorrowedKwargs<'a>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct BorrowedKwargs<'a> {
    size: i64,
    name: &'a str,
}

impl Owned {
    pub(crate) fn view(&self) -> RequestView<'_> {
        let (image, format, quality) = &self.args;
        RequestView {
            app_path: &self.app_path,
            action: &self.action,
            image,
            format,
            quality: *quality,
            size: self.kwargs.size,
            name: &self.kwargs.name,
        }
    }
}

impl Borrowed<'_> {
    pub(crate) fn view(&self) -> RequestView<'_> {
        let (image, format, quality) = self.args;
        RequestView {
            app_path: self.app_path,
            action: self.action,
            image,
            format,
            quality,
            size: self.kwargs.size,
            name: self.kwargs.name,
        }
    }
}
