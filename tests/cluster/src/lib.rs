//! A real Kubernetes of one's own for tests and the demo, and images for it without a daemon.
//!
//! [`ControlPlane`] is etcd, kube-apiserver and kube-controller-manager on loopback ports: no root, ready in seconds,
//! enough for whatever needs no pod. [`Cluster`] is a whole node besides: namespaces and cgroups of its own, containerd,
//! kubelet, kube-proxy, CoreDNS and scheduler; it needs Linux and root.
//!
//! Everything started here ends with the process that started it, however that ends: see [`ControlPlane`].

#[cfg(not(target_os = "linux"))]
compile_error!("the test cluster is made of Linux namespaces; use `--context NAME` with a cluster of your own");

pub mod agent;
pub mod binaries;
pub mod clients;
pub mod image;
pub mod packages;

mod cluster;
mod control_plane;
mod daemon;
mod error;
mod forward;
mod kubectl;
mod node;
mod pki;
mod place;
mod ports;
mod spawn;
mod state;
mod wait;

pub use binaries::cache_dir;
pub use cluster::Cluster;
pub use control_plane::ControlPlane;
pub use error::Error;
pub use forward::Forward;
pub use image::Image;
pub use kubectl::Kubectl;
pub use ports::free_port;
pub use spawn::{spawn, tethered};
