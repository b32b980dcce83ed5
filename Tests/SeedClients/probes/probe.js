// What Node's ws tells its user of a refusal and of a close. Its argument is a task, in JSON.
const WebSocket = require('ws');

const task = JSON.parse(process.argv[2]);
const say = (what) => console.log(JSON.stringify(what));

async function send(socket) {
  for (const step of task.send ?? []) {
    await new Promise((done) => setTimeout(done, 1000 * (step.pause ?? 0)));
    for (let count = 0; count < (step.times ?? 1) && socket.readyState === WebSocket.OPEN; count++) {
      if ('text' in step) socket.send(step.text);
      else if ('long' in step) socket.send('x'.repeat(step.long));
      else if ('binary' in step) socket.send(Buffer.alloc(step.binary));
    }
  }
  if ('close' in task) socket.close(task.close);
}

function connect(left) {
  const options = { headers: task.headers ?? {} };
  if (task.version) options.protocolVersion = task.version;
  const socket = new WebSocket(task.url, options);
  let isOpen = false;
  socket.on('open', () => {
    isOpen = true;
    say({ opened: true });
    if (left > 1) socket.close();
    else if (!('after' in task)) send(socket);
  });
  let hasSent = false;
  socket.on('message', (data) => {
    say({ message: data.toString() });
    if (!hasSent && 'after' in task && data.includes(task.after)) {
      hasSent = true;
      send(socket);
    }
  });
  socket.on('unexpected-response', (request, response) => {
    let body = '';
    response.on('data', (data) => { body += data; });
    response.on('end', () => say({ refused: response.statusCode, headers: response.headers, body }));
  });
  socket.on('error', (error) => {
    if (!isOpen) say({ failed: error.message });
  });
  socket.on('close', (code, reason) => {
    if (left > 1) connect(left - 1);
    else say({ closed: code, reason: reason.toString() });
  });
}

connect(task.times ?? 1);
