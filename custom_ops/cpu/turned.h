// An array that lies (channels, pixels), while what reads it goes through (pixels, channels).
#pragma once

#include <algorithm>
#include <cstddef>

namespace svgd {

// to[j * to_pitch + i] = from[i * from_pitch + j], of so many rows i and columns j.
template <typename Number>
void Turn(const Number* from, size_t from_pitch, size_t rows, size_t columns, Number* to,
          size_t to_pitch) {
  constexpr size_t kTile = 4;  // which stays in registers
  size_t i = 0;
  for (; i + kTile <= rows; i += kTile) {
    size_t j = 0;
    for (; j + kTile <= columns; j += kTile) {
      Number tile[kTile][kTile];
      for (size_t a = 0; a < kTile; ++a) {
        for (size_t b = 0; b < kTile; ++b) tile[b][a] = from[(i + a) * from_pitch + j + b];
      }
      for (size_t b = 0; b < kTile; ++b) {
        std::copy(tile[b], tile[b] + kTile, to + (j + b) * to_pitch + i);
      }
    }
    for (; j < columns; ++j) {
      for (size_t a = i; a < i + kTile; ++a) to[j * to_pitch + a] = from[a * from_pitch + j];
    }
  }
  for (; i < rows; ++i) {
    for (size_t j = 0; j < columns; ++j) to[j * to_pitch + i] = from[i * from_pitch + j];
  }
}

struct Turned {
  size_t channels, pixels;

  // to = the numbers of `array` whose places among (pixels, channels) are `begin` and those behind.
  template <typename Number>
  void Read(const Number* array, size_t begin, size_t count, Number* to) const {
    ForEach(begin, count, [&](size_t pixel, size_t of_pixels, size_t channel, size_t of_channels) {
      Turn(array + channel * pixels + pixel, pixels, of_channels, of_pixels, to, channels);
      to += of_pixels * of_channels;
    });
  }

  // The same numbers of `array` become those of `from`.
  template <typename Number>
  void Write(const Number* from, size_t begin, size_t count, Number* array) const {
    ForEach(begin, count, [&](size_t pixel, size_t of_pixels, size_t channel, size_t of_channels) {
      Turn(from, channels, of_pixels, of_channels, array + channel * pixels + pixel, pixels);
      from += of_pixels * of_channels;
    });
  }

 private:
  // Whole pixels together, and what is left of the first and of the last.
  template <typename Body>
  void ForEach(size_t begin, size_t count, const Body& body) const {
    for (const size_t end = begin + count; begin < end;) {
      const size_t channel = begin % channels, left = end - begin;
      const bool whole = channel == 0 && left >= channels;
      const size_t of_pixels = whole ? left / channels : 1;
      const size_t of_channels = whole ? channels : std::min(channels - channel, left);
      body(begin / channels, of_pixels, channel, of_channels);
      begin += of_pixels * of_channels;
    }
  }
};

}  // namespace svgd
