// UNTESTED: see README.md beside this file.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "hardware_interface/system_interface.hpp"
#include "rclcpp_lifecycle/state.hpp"

#include "../../lineage.h"

namespace lineage_examples
{

class RecordedSystem : public hardware_interface::SystemInterface
{
public:
  ~RecordedSystem() override;

  hardware_interface::CallbackReturn on_init(const hardware_interface::HardwareInfo & info) override;
  hardware_interface::CallbackReturn on_activate(const rclcpp_lifecycle::State & previous) override;
  hardware_interface::CallbackReturn on_deactivate(const rclcpp_lifecycle::State & previous) override;

  std::vector<hardware_interface::StateInterface> export_state_interfaces() override;
  std::vector<hardware_interface::CommandInterface> export_command_interfaces() override;

  // Both run in the controller manager's real-time loop.
  hardware_interface::return_type read(const rclcpp::Time & time, const rclcpp::Duration & period) override;
  hardware_interface::return_type write(const rclcpp::Time & time, const rclcpp::Duration & period) override;

private:
  struct Joint
  {
    std::string name;
    double position = 0.0, velocity = 0.0, command = 0.0;
    lin_stream * stream = nullptr;
  };

  void plan();  // keeps a cycle open; runs in a thread that may wait
  void end_threads();

  std::vector<Joint> joints_;  // never grows after on_init: interfaces point into it
  lin_client * client_ = nullptr;
  lin_lane * stops_ = nullptr;
  std::thread pump_, planner_;
  std::atomic<bool> active_{false}, ending_{false};
  std::atomic<uint64_t> carrier_{0};
  uint64_t used_ = 0;  // the real-time loop's
};

}  // namespace lineage_examples
