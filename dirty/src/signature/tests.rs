//! Binding against a model that follows Python's rules word for word.
