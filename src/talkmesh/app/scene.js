// The character in 3D: WebGL2, lit at the vertices by the shader of the report's pictures, which the server sends.
// The model is turned, not the camera: the light stays where it is.
"use strict";

const FOV = 0.4; // rad, vertical
const MARGIN = 1.12; // of space about the head
const HOME = { yaw: 0, pitch: 0, zoom: 1 };

class Scene {
  constructor(canvas, light) {
    this.canvas = canvas;
    this.light = light;
    this.view = { ...HOME };
    this.mesh = null;
    canvas.addEventListener("webglcontextlost", (event) => { event.preventDefault(); this.gl = null; });
    canvas.addEventListener("webglcontextrestored", () => { this.begin(); if (this.mesh) this.upload(); });
    new ResizeObserver(() => { this.stale = true; }).observe(canvas);
    this.begin();
  }

  // Raises an error where a browser has no WebGL2.
  begin() {
    const gl = this.canvas.getContext("webgl2", { antialias: true, alpha: true });
    if (!gl) throw new Error("This browser shows no 3D (WebGL2); curve, pictures and files are there all the same.");
    const program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, this.light.vertex], [gl.FRAGMENT_SHADER, this.light.fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
    gl.useProgram(program);
    gl.enable(gl.DEPTH_TEST);
    gl.enable(gl.CULL_FACE);
    this.uniforms = Object.fromEntries(["M", "V", "P"].map((name) => [name, gl.getUniformLocation(program, name)]));
    this.gl = gl;
    this.stale = true;
  }

  // faces (3 F), twins (V) Uint32Array, colours (4 V) Uint8Array; motion: {values Int16Array (T 3 V), frames, step, fps}
  show(mesh, motion) {
    const count = mesh.twins.length;
    this.mesh = mesh;
    this.motion = motion;
    this.positions = new Float32Array(3 * count);
    this.normals = new Float32Array(3 * count);
    this.doubles = mesh.twins.map((twin, v) => (twin === v ? 0 : v)).filter((v) => v > 0);
    this.place(0);
    const high = [0, 0, 0];
    for (let i = 0; i < 3 * count; i++) high[i % 3] = Math.max(high[i % 3], Math.abs(this.positions[i]));
    this.reach = high;
    if (this.gl) this.upload();
  }

  upload() {
    const gl = this.gl;
    const { faces, colours } = this.mesh;
    const buffer = (target, data, use) => {
      const made = gl.createBuffer();
      gl.bindBuffer(target, made);
      gl.bufferData(target, data, use);
      return made;
    };
    gl.bindVertexArray(gl.createVertexArray());
    this.buffers = [this.positions, this.normals].map((data, place) => {
      const made = buffer(gl.ARRAY_BUFFER, data, gl.DYNAMIC_DRAW);
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, 3, gl.FLOAT, false, 0, 0);
      return made;
    });
    buffer(gl.ARRAY_BUFFER, colours, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(2);
    gl.vertexAttribPointer(2, 4, gl.UNSIGNED_BYTE, true, 0, 0);
    buffer(gl.ELEMENT_ARRAY_BUFFER, faces, gl.STATIC_DRAW);
    this.stale = true;
  }

  // Put the vertices where they are at `time`, in seconds: straight between frames, in mm from the centre.
  place(time) {
    const { values, frames, step, fps } = this.motion;
    const size = this.positions.length;
    const at = Math.min(Math.max(time * fps, 0), Math.max(frames - 1, 0));
    const first = Math.floor(at) * size;
    const second = Math.min(Math.floor(at) + 1, Math.max(frames - 1, 0)) * size;
    const part = at - Math.floor(at);
    for (let i = 0; i < size; i++) {
      this.positions[i] = step * (values[first + i] + part * (values[second + i] - values[first + i]));
    }
    this.addNormals();
    this.at = at;
  }

  // Sums of the normals of adjacent faces, as long as they come out: the shader takes their direction.
  addNormals() {
    const { positions: p, normals: n } = this;
    const { faces, twins } = this.mesh;
    n.fill(0);
    for (let f = 0; f < faces.length; f += 3) {
      const a = 3 * faces[f], b = 3 * faces[f + 1], c = 3 * faces[f + 2];
      const ux = p[b] - p[a], uy = p[b + 1] - p[a + 1], uz = p[b + 2] - p[a + 2];
      const vx = p[c] - p[a], vy = p[c + 1] - p[a + 1], vz = p[c + 2] - p[a + 2];
      const x = uy * vz - uz * vy, y = uz * vx - ux * vz, z = ux * vy - uy * vx;
      for (let k = 0; k < 3; k++) {
        const v = 3 * twins[faces[f + k]];
        n[v] += x;
        n[v + 1] += y;
        n[v + 2] += z;
      }
    }
    for (const v of this.doubles) n.copyWithin(3 * v, 3 * twins[v], 3 * twins[v] + 3);
  }

  // Draw what is to be seen at `time`, if that is anything new.
  draw(time) {
    if (!this.gl || !this.mesh) return;
    const { gl, canvas } = this;
    const at = Math.min(Math.max(time * this.motion.fps, 0), Math.max(this.motion.frames - 1, 0));
    if (at !== this.at) {
      this.place(time);
      this.stale = true;
    }
    if (!this.stale) return;
    this.stale = false;
    const sharp = Math.min(devicePixelRatio || 1, 2);
    const width = Math.max(1, Math.round(canvas.clientWidth * sharp));
    const height = Math.max(1, Math.round(canvas.clientHeight * sharp));
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    gl.viewport(0, 0, width, height);
    [this.positions, this.normals].forEach((data, k) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[k]);
      gl.bufferSubData(gl.ARRAY_BUFFER, 0, data);
    });
    const { M, V, P } = this.matrices(width / height);
    gl.uniformMatrix4fv(this.uniforms.M, false, M);
    gl.uniformMatrix4fv(this.uniforms.V, false, V);
    gl.uniformMatrix4fv(this.uniforms.P, false, P);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.drawElements(gl.TRIANGLES, this.mesh.faces.length, gl.UNSIGNED_INT, 0);
  }

  // Column by column, as WebGL has it.
  matrices(aspect) {
    const { yaw, pitch, zoom } = this.view;
    const [x, y, z] = this.reach;
    const narrow = Math.max(y, x / aspect);
    const distance = (MARGIN * narrow) / Math.tan(FOV / 2) / zoom + z;
    const around = 2 * Math.hypot(x, y, z);
    const near = Math.max(distance - around, distance / 50), far = distance + around;
    const focal = 1 / Math.tan(FOV / 2);
    const [cy, sy, cp, sp] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
    return {
      M: [cy, sy * sp, -sy * cp, 0, 0, cp, sp, 0, sy, -cy * sp, cy * cp, 0, 0, 0, 0, 1],
      V: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, -distance, 1],
      P: [focal / aspect, 0, 0, 0, 0, focal, 0, 0, 0, 0, (near + far) / (near - far), -1,
        0, 0, (2 * near * far) / (near - far), 0],
    };
  }

  turn(yaw, pitch) {
    this.view.yaw += yaw;
    this.view.pitch = Math.min(Math.max(this.view.pitch + pitch, -1.4), 1.4);
    this.stale = true;
  }

  zoom(factor) {
    this.view.zoom = Math.min(Math.max(this.view.zoom * factor, 0.5), 8);
    this.stale = true;
  }

  home() {
    this.view = { ...HOME };
    this.stale = true;
  }
}
