//! prost: the schema is compiled in, so field names do not travel and types are known.

use anyhow::{Result, ensure};
use bytes::Bytes;
use prost::Message;

use crate::request::{Request, RequestView};
use crate::subject::Subject;

#[derive(Clone, PartialEq, Message)]
struct ProstRequest {
    #[prost(string, tag = "1")]
    app_path: String,
    #[prost(string, tag = "2")]
    action: String,
    #[prost(message, optional, tag = "3")]
    args: Option<ProstArgs>,
    #[prost(message, optional, tag = "4")]
    kwargs: Option<ProstKwargs>,
}

#[derive(Clone, PartialEq, Message)]
struct ProstArgs {
    #[prost(bytes = "bytes", tag = "1")]
    image: Bytes,
    #[prost(string, tag = "2")]
    format: String,
    #[prost(int64, tag = "3")]
    quality: i64,
}

#[derive(Clone, PartialEq, Message)]
struct ProstKwargs {
    #[prost(int64, tag = "1")]
    size: i64,
    #[prost(string, tag = "2")]
    name: String,
}

pub(crate) fn encoded(request: &Request) -> Bytes {
    message(request).encode_to_vec().into()
}

pub(crate) fn decoder<'a>(encoded: &'a Bytes, request: &Request) -> Result<Subject<'a>> {
    // From `Bytes`, so that the bytes field is a slice of the input and not a copy.
    let decode = || ProstRequest::decode(encoded.clone()).expect("decoded once before");
    ensure!(
        view(&ProstRequest::decode(encoded.clone())?) == Some(request.view()),
        "prost decoded something else"
    );
    Ok(Subject::new("prost, bytes field as Bytes", decode))
}

pub(crate) fn encoder(request: &Request) -> Subject<'static> {
    let (message, mut out) = (message(request), Vec::new());
    Subject::new("prost", move || {
        out.clear();
        message.encode(&mut out).expect("a Vec grows");
        out.len()
    })
}

fn message(request: &Request) -> ProstRequest {
    let Request { app_path, action, image, format, quality, size, name } = request.clone();
    ProstRequest {
        app_path,
        action,
        args: Some(ProstArgs { image: image.into(), format, quality }),
        kwargs: Some(ProstKwargs { size, name }),
    }
}

fn view(message: &ProstRequest) -> Option<RequestView<'_>> {
    let (args, kwargs) = (message.args.as_ref()?, message.kwargs.as_ref()?);
    Some(RequestView {
        app_path: &message.app_path,
        action: &message.action,
        image: &args.image,
        format: &args.format,
        quality: args.quality,
        size: kwargs.size,
        name: &kwargs.name,
    })
}
