// UNTESTED: see README.md beside this file.
#include "recorded_system.hpp"

#include <chrono>

#include "hardware_interface/types/hardware_interface_type_values.hpp"
#include "pluginlib/class_list_macros.hpp"

namespace lineage_examples
{
namespace
{

constexpr int VALID_MS = 10000;

#pragma pack(push, 1)
struct Row
{
  double position_rad, velocity_rad_s, command_rad;
};
#pragma pack(pop)

const lin_field FIELDS[] = {
  {"position", "<f8", 1, "rad"}, {"velocity", "<f8", 1, "rad/s"}, {"command", "<f8", 1, "rad"}};

lin_claims what_claims(unsigned char (&room)[256])
{
  lin_buf buf;
  lin_begin(&buf, room, sizeof room);
  lin_map(&buf, 7);
  lin_text(&buf, "mode"), lin_text(&buf, "position");
  lin_text(&buf, "target"), lin_text(&buf, "trajectory");
  lin_text(&buf, "magnitude"), lin_null(&buf);
  lin_text(&buf, "unit"), lin_text(&buf, "rad");
  lin_text(&buf, "duration_ms"), lin_u64(&buf, VALID_MS);
  lin_text(&buf, "reversibility"), lin_text(&buf, "reversible");
  lin_text(&buf, "confirm_by_ms"), lin_null(&buf);
  return lin_done(&buf);
}

}  // namespace

using hardware_interface::CallbackReturn;
using hardware_interface::return_type;

RecordedSystem::~RecordedSystem()
{
  end_threads();
  if (client_ != nullptr) {
    lin_close(client_, 2000, nullptr);
  }
}

CallbackReturn RecordedSystem::on_init(const hardware_interface::HardwareInfo & info)
{
  if (SystemInterface::on_init(info) != CallbackReturn::SUCCESS) {
    return CallbackReturn::ERROR;
  }
  const auto socket = info_.hardware_parameters.find("lineage_socket");
  if (socket == info_.hardware_parameters.end()) {
    return CallbackReturn::ERROR;
  }
  client_ = lin_open(socket->second.c_str(), "ros2_control");
  if (client_ == nullptr) {
    return CallbackReturn::ERROR;
  }
  unsigned char room[256];
  for (const auto & described : info_.joints) {
    Joint joint;
    joint.name = described.name;
    lin_stream_options options = {};
    options.actuator = joint.name.c_str();
    options.fields = FIELDS;
    options.field_count = sizeof FIELDS / sizeof FIELDS[0];
    options.what = what_claims(room);
    options.row_bytes = sizeof(Row);
    lin_receipt receipt;
    if (lin_stream_open(client_, &options, &joint.stream, &receipt) != LIN_OK) {
      return CallbackReturn::ERROR;  // receipt.detail says why: log it
    }
    joints_.push_back(joint);
  }
  std::vector<const char *> names;
  for (const auto & joint : joints_) {
    names.push_back(joint.name.c_str());
  }
  lin_lane_options options = {};
  options.action_class = "emergency_stop";
  options.actuators = names.data();
  options.actuator_count = names.size();
  if (lin_lane_open(client_, &options, &stops_, nullptr) != LIN_OK) {
    return CallbackReturn::ERROR;
  }
  // Made here and not in the real-time loop's thread, whose scheduling they would inherit.
  pump_ = std::thread([this] {
    while (!ending_) {
      lin_pump(client_, 100);
    }
  });
  planner_ = std::thread([this] { plan(); });
  return CallbackReturn::SUCCESS;
}

// Who decided to let the controllers move, and why: yours to state.  Here it is the activation itself.
void RecordedSystem::plan()
{
  unsigned char who_room[128], why_room[256];
  lin_buf buf;
  lin_begin(&buf, who_room, sizeof who_room);
  lin_map(&buf, 2);
  lin_text(&buf, "operator"), lin_null(&buf);
  lin_text(&buf, "delegation"), lin_null(&buf);
  const lin_claims who = lin_done(&buf);
  lin_begin(&buf, why_room, sizeof why_room);
  lin_map(&buf, 4);
  lin_text(&buf, "evaluator"), lin_text(&buf, "ros2_control activation");
  lin_text(&buf, "clauses"), lin_list(&buf, 0);
  lin_text(&buf, "inputs"), lin_list(&buf, 0);
  lin_text(&buf, "alternatives"), lin_list(&buf, 0);
  const lin_claims why = lin_done(&buf);
  std::vector<const char *> names;
  for (const auto & joint : joints_) {
    names.push_back(joint.name.c_str());
  }
  const char * const classes[] = {"motion"};
  lin_cycle_options options = {};
  options.who = who;
  options.why = why;
  options.actuators = names.data();
  options.actuator_count = names.size();
  options.action_classes = classes;
  options.class_count = 1;
  options.max_commits = 100000;
  options.valid_ms = VALID_MS;
  lin_cycle cycle;
  uint64_t due_ns = 0;
  while (!ending_) {
    if (active_ && lin_now_ns() >= due_ns) {
      lin_receipt receipt;
      if (lin_open_cycle(client_, &options, 500, &cycle, &receipt) == LIN_OK) {
        carrier_ = cycle.seq;
        due_ns = lin_now_ns() + UINT64_C(1000000) * VALID_MS / 2;
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

CallbackReturn RecordedSystem::on_activate(const rclcpp_lifecycle::State &)
{
  // No motion before its why is durable.  What to do where the recorder is away is the action class's to say.
  active_ = true;
  for (int waited_ms = 0; carrier_ == 0 && waited_ms < 2000; waited_ms += 10) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  if (carrier_ == 0 && lin_rule_of(client_, "motion") != LIN_RULE_CONTINUE) {
    active_ = false;
    return CallbackReturn::ERROR;
  }
  return CallbackReturn::SUCCESS;
}

CallbackReturn RecordedSystem::on_deactivate(const rclcpp_lifecycle::State &)
{
  active_ = false;
  lin_flush(client_, 1000);
  return CallbackReturn::SUCCESS;
}

std::vector<hardware_interface::StateInterface> RecordedSystem::export_state_interfaces()
{
  std::vector<hardware_interface::StateInterface> exported;
  for (auto & joint : joints_) {
    exported.emplace_back(joint.name, hardware_interface::HW_IF_POSITION, &joint.position);
    exported.emplace_back(joint.name, hardware_interface::HW_IF_VELOCITY, &joint.velocity);
  }
  return exported;
}

std::vector<hardware_interface::CommandInterface> RecordedSystem::export_command_interfaces()
{
  std::vector<hardware_interface::CommandInterface> exported;
  for (auto & joint : joints_) {
    exported.emplace_back(joint.name, hardware_interface::HW_IF_POSITION, &joint.command);
  }
  return exported;
}

return_type RecordedSystem::read(const rclcpp::Time &, const rclcpp::Duration &)
{
  // Here the bus is read.  A safety circuit that has tripped is told at once, without waiting for anyone:
  //   lin_event(stops_, lin_now_ns(), lin_claims{}, lin_claims{}, "safety circuit open");
  return return_type::OK;
}

return_type RecordedSystem::write(const rclcpp::Time &, const rclcpp::Duration &)
{
  const uint64_t newest = carrier_;
  const uint64_t now_ns = lin_now_ns();
  bool all = true;
  for (auto & joint : joints_) {
    // Here the joint is commanded.
    if (newest != used_) {
      all = lin_use(joint.stream, newest) && all;
    }
    const Row row{joint.position, joint.velocity, joint.command};
    lin_push(joint.stream, now_ns, &row);  // LIN_FULL needs no care: it is counted, and declared
  }
  if (all) {
    used_ = newest;  // else again at the next tick
  }
  return return_type::OK;
}

void RecordedSystem::end_threads()
{
  ending_ = true;
  if (client_ != nullptr) {
    lin_wake(client_);
  }
  for (auto * thread : {&planner_, &pump_}) {
    if (thread->joinable()) {
      thread->join();
    }
  }
}

}  // namespace lineage_examples

PLUGINLIB_EXPORT_CLASS(lineage_examples::RecordedSystem, hardware_interface::SystemInterface)
