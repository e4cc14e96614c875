//! What `#[dirty_app]` writes: binding, conversion, and every kind of return type.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::HashMap;
use std::pin::Pin;
use std::task::{Context, Poll};

use gunmetal_dirty::prelude::*;
use gunmetal_protocol::{Args, Segments, args, encode_request};
use serde::{Deserialize, Serialize};

type Odd<T> = std::result::Result<T, std::num::ParseIntError>;

#[derive(Debug, Serialize, Deserialize)]
struct Size {
    width: u32,
    height: u32,
}

struct App;

#[dirty_app(workers = 2, stashes = ["thumbnails", "hits"])]
impl App {
    fn init(_: &InitContext) -> Result<Self> {
        Ok(App)
    }

    #[action]
    fn thumbnail(&self, image: Bytes, #[default = 128] size: u32) -> Result<Vec<i64>> {
        Ok(vec![image.len().try_into()?, size.into()])
    }

    #[action]
    fn noop(&self) {}

    #[action]
    fn echo(&self, x: Value) -> Value {
        x
    }

    #[action]
    fn area(
        &self,
        size: Size,
        #[default = "px"] unit: String,
        #[default = None] scale: Option<f64>,
    ) -> String {
        format!("{}{unit}", f64::from(size.width * size.height) * scale.unwrap_or(1.0))
    }

    #[action]
    fn maybe(&self, x: Option<i64>) -> Option<i64> {
        x
    }

    #[action]
    fn borrowed<'a>(&'a self, text: &'a str) -> &'a str {
        text
    }

    #[action]
    fn everything(&self, first: i64, #[args] rest: Vec<Value>, last: i64, #[kwargs] more: Dict) -> Value {
        value!({"first": first, "rest": rest, "last": last, "more": Value::Dict(more)})
    }

    #[action]
    fn counts(&self, #[args] numbers: Vec<u8>, #[kwargs] named: HashMap<String, u8>) -> u64 {
        numbers.into_iter().chain(named.into_values()).map(u64::from).sum()
    }

    #[action]
    fn zeros(&self, count: usize) -> Vec<u8> {
        vec![0; count]
    }

    #[action]
    fn parse(&self, text: String) -> Odd<i64> {
        text.parse()
    }

    #[action]
    fn fail(&self, message: String) -> anyhow::Result<()> {
        Err(anyhow::anyhow!("the cause").context(message))
    }

    #[action(name = "type")]
    fn kind(&self, r#type: String, call: &Call<'_>, cancel: &CancelToken, token: CancelToken) -> String {
        assert!(!cancel.is_cancelled() && !token.is_cancelled());
        format!("{}.{}({type})", call.app_path(), call.action())
    }

    #[action]
    fn count(&self, n: i64) -> impl Iterator<Item = i64> {
        0..n
    }

    #[action]
    fn count_until(&self, n: i64) -> impl Iterator<Item = Result<Bytes>> {
        (0..=n).map(move |i| if i < n { Ok(Bytes::from(vec![0; 2])) } else { Err("the end")? })
    }

    #[action]
    fn boxed(&self, n: u8) -> Result<Box<dyn Iterator<Item = Vec<u8>> + '_>> {
        Ok(Box::new((0..n).map(|i| vec![i])))
    }

    #[action]
    async fn later(&self, x: i64) -> Result<i64> {
        Ok(x + 1)
    }

    #[allow(clippy::manual_async_fn, reason = "that is what is tested")]
    #[action]
    fn future(&self, x: i64) -> impl Future<Output = i64> {
        async move { x + 2 }
    }

    #[action]
    fn stream(&self, n: i64) -> impl Stream<Item = Odd<i64>> {
        Countdown(n)
    }

    #[action]
    async fn stream_later(&self, n: i64) -> Result<impl Stream<Item = Odd<i64>>> {
        Ok(Countdown(n))
    }

    #[cfg(any())]
    #[action]
    fn not_compiled(&self, x: NoSuchType) {}

    /// An ordinary method stays one.
    fn _helper(&self) {}
}

struct Countdown(i64);

impl Stream for Countdown {
    type Item = Odd<i64>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Odd<i64>>> {
        self.0 -= 1;
        Poll::Ready((self.0 >= 0).then_some(Ok(self.0)))
    }
}

/// The values that a call yields, and the error that ends it.
fn call(action: &str, args: &Args) -> (Vec<Value>, Option<ActionError>) {
    let mut frame = Segments::new();
    encode_request(1, "tests:App", action, args, &mut frame).unwrap();
    let payload = frame.into_contiguous().slice(gunmetal_protocol::HEADER_LEN..);
    let token = CancelToken::new();
    let call = Call::decode(&payload, &token).unwrap();
    let app = App::init(&InitContext::new("tests:App")).unwrap();
    let mut values = Vec::new();
    let error = match DirtyApp::call(&app, &call) {
        Ok(reply) => collect(reply, &mut values).err(),
        Err(error) => Some(error),
    };
    (values, error)
}

fn collect(reply: Reply<'_>, values: &mut Vec<Value>) -> Result<()> {
    let decode = |segments: Segments| Value::decode(segments.into_contiguous());
    let mut cx = Context::from_waker(std::task::Waker::noop());
    match reply {
        Reply::Value(value) => values.push(decode(value)?),
        Reply::Iter(items) => {
            for item in items {
                values.push(decode(item?)?);
            }
        }
        Reply::Stream(mut items) => {
            while let Poll::Ready(Some(item)) = items.as_mut().poll_next(&mut cx) {
                values.push(decode(item?)?);
            }
        }
        Reply::Future(mut future) => match future.as_mut().poll(&mut cx) {
            Poll::Ready(reply) => collect(reply?, values)?,
            Poll::Pending => panic!("nothing here waits"),
        },
    }
    Ok(())
}

fn result(action: &str, args: &Args) -> Value {
    let (mut values, error) = call(action, args);
    assert!(error.is_none() && values.len() == 1, "{values:?} {error:?}");
    values.remove(0)
}

fn error(action: &str, args: &Args) -> String {
    call(action, args).1.expect("an error").to_string()
}

#[test]
fn options_become_constants() {
    assert_eq!(App::WORKERS, Some(2));
    assert_eq!(App::STASHES, ["thumbnails", "hits"]);
}

#[test]
fn arguments_bind_by_position_name_and_default() {
    let image = Bytes::from_static(b"abc");
    assert_eq!(result("thumbnail", &args![image.clone()]), value!([3, 128]));
    assert_eq!(result("thumbnail", &args![image.clone(), 64]), value!([3, 64]));
    assert_eq!(result("thumbnail", &args![image.clone(); size = 32]), value!([3, 32]));
    assert_eq!(result("thumbnail", &args![; size = 16, image = image]), value!([3, 16]));
}

#[test]
fn errors_name_the_argument_as_python_does() {
    let image = Bytes::from_static(b"abc");
    assert_eq!(error("thumbnail", &args![]), "thumbnail() missing required argument: 'image'");
    assert_eq!(
        error("thumbnail", &args![image.clone(); sze = 1]),
        "thumbnail() got an unexpected keyword argument 'sze'; allowed: image, size"
    );
    assert_eq!(
        error("thumbnail", &args![image.clone(), 1; size = 2]),
        "thumbnail() got multiple values for argument 'size'"
    );
    assert_eq!(
        error("thumbnail", &args![image.clone(), 1, 2]),
        "thumbnail() takes at most 2 positional arguments (3 given)"
    );
    assert_eq!(error("echo", &args![1, 2]), "echo() takes at most 1 positional argument (2 given)");
    assert_eq!(error("noop", &args![1]), "noop() takes no positional arguments (1 given)");
    assert_eq!(
        error("thumbnail", &args!["abc"]),
        "thumbnail() argument 'image': expected Bytes, found string"
    );
    let text = error("thumbnail", &args![image.clone(), -1]);
    assert!(text.starts_with("thumbnail() argument 'size': expected u32, found int ("), "{text}");
    let text = error("thumbnail", &args![image, "big"]);
    assert!(text.starts_with("thumbnail() argument 'size': expected u32, found string ("), "{text}");
    assert_eq!(error("everything", &args![]), "everything() missing required arguments: 'first', 'last'");
}

#[test]
fn unknown_and_private_names_are_no_actions() {
    let text = error("resize", &args![]);
    assert!(text.starts_with("tests:App has no action 'resize'; allowed: thumbnail, noop,"), "{text}");
    assert!(!text.contains("not_compiled") && !text.contains("_helper"), "{text}");
    for name in ["_helper", "init", "close", "kind"] {
        assert!(matches!(call(name, &args![]).1, Some(ActionError::UnknownAction(_))), "{name}");
    }
}

#[test]
fn an_option_is_required_unless_it_has_a_default() {
    assert_eq!(error("maybe", &args![]), "maybe() missing required argument: 'x'");
    assert_eq!(result("maybe", &args![Value::None]), Value::None);
    assert_eq!(result("maybe", &args![5]), Value::Int(5));
}

#[test]
fn any_serde_type_is_an_argument() {
    let size = value!({"width": 2, "height": 3});
    assert_eq!(result("area", &args![size.clone()]), Value::from("6px"));
    assert_eq!(result("area", &args![size.clone(); scale = 2]), Value::from("12px"));
    assert_eq!(result("area", &args![size, "mm", Value::None]), Value::from("6mm"));
    let text = error("area", &args![value!({"width": 2})]);
    assert!(text.starts_with("area() argument 'size': expected Size, found dict ("), "{text}");
    assert!(text.contains("height"), "{text}");
}

#[test]
fn rest_parameters_collect_what_is_left() {
    assert_eq!(
        result("everything", &args![1, 2, 3; last = 4, more = 5, x = "y"]),
        value!({"first": 1, "rest": [2, 3], "last": 4, "more": {"more": 5, "x": "y"}})
    );
    assert_eq!(result("counts", &args![1, 2; a = 3]), Value::Int(6));
    let text = error("counts", &args![1, 300]);
    assert!(text.starts_with("counts() argument 'numbers': expected u8, found int"), "{text}");
    assert_eq!(error("everything", &args![1]), "everything() missing required argument: 'last'");
}

#[test]
fn bytes_and_values_are_not_copied() {
    let big = Bytes::from(vec![7; 100_000]);
    let mut frame = Segments::new();
    encode_request(1, "tests:App", "echo", &args![big], &mut frame).unwrap();
    let payload = frame.into_contiguous().slice(gunmetal_protocol::HEADER_LEN..);
    let (token, app) = (CancelToken::new(), App);
    let call = Call::decode(&payload, &token).unwrap();
    let Reply::Value(reply) = DirtyApp::call(&app, &call).unwrap() else { panic!("one value") };
    let linked = reply.into_iter().find(|part| part.len() == 100_000).expect("linked, not copied");
    assert!(payload.as_ptr_range().contains(&linked.as_ptr()), "a slice of the request");
}

#[test]
fn results_of_every_kind_are_encoded() {
    assert_eq!(result("noop", &args![]), Value::None);
    assert_eq!(result("zeros", &args![3]), Value::Bytes(Bytes::from_static(&[0; 3])));
    assert_eq!(result("parse", &args!["12"]), Value::Int(12));
    assert_eq!(error("parse", &args!["x"]), "invalid digit found in string");
    assert_eq!(result("type", &args![; type = "t"]), Value::from("tests:App.type(t)"));
    assert_eq!(result("borrowed", &args!["text"]), Value::from("text"));
    assert_eq!(result("later", &args![1]), Value::Int(2));
    assert_eq!(result("future", &args![1]), Value::Int(3));
}

#[test]
fn an_error_keeps_its_chain() {
    let error = call("fail", &args!["outer"]).1.unwrap();
    assert_eq!(error.to_string(), "outer");
    assert_eq!(error.traceback(), "error: outer\ncaused by: the cause\n");
}

#[test]
fn iterators_and_streams_yield_chunks() {
    let ints = |range: std::ops::Range<i64>| range.map(Value::Int).collect::<Vec<_>>();
    assert_eq!(call("count", &args![3]).0, ints(0..3));
    let (values, error) = call("count_until", &args![2]);
    assert_eq!(values, vec![Value::Bytes(Bytes::from_static(&[0; 2])); 2]);
    assert_eq!(error.unwrap().to_string(), "the end");
    assert_eq!(call("boxed", &args![2]).0, [0u8, 1].map(|i| Value::Bytes(vec![i].into())));
    assert_eq!(call("stream", &args![2]).0, [Value::Int(1), Value::Int(0)]);
    assert_eq!(call("stream_later", &args![1]).0, [Value::Int(0)]);
}

#[test]
fn an_action_is_still_a_method() {
    assert_eq!(App.thumbnail(Bytes::new(), 1).unwrap(), [0, 1]);
}
