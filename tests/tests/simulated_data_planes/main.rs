//! The simulated data planes themselves: they mind what real ones mind, shown against a control plane that follows a script.

mod configurations;
mod frames;
mod handshakes;
mod json_rpc;
mod scripted_control_plane;
