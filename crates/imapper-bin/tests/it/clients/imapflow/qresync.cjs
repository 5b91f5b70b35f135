// A session of ImapFlow with CONDSTORE and QRESYNC on: what others do arrives while it idles, and after a
// reconnect with a stored mod-sequence just the difference does.
'use strict';

const assert = require('node:assert');
const { once } = require('node:events');
const fs = require('node:fs');
const { ImapFlow } = require('imapflow');

const options = {
    host: '127.0.0.1',
    port: Number(process.env.SITE_TLS_PORT),
    secure: true,
    tls: { ca: fs.readFileSync(process.env.SITE_CERTIFICATE), servername: 'localhost' },
    auth: { user: process.env.SITE_USER, pass: process.env.SITE_PASSWORD },
    logger: false,
    qresync: true
};

const message = text => `Subject: ${text}\r\n\r\n${text}\r\n`;
const next = async (client, event) => (await once(client, event, { signal: AbortSignal.timeout(30000) }))[0];

async function main() {
    const writer = new ImapFlow({ ...options, qresync: false });
    await writer.connect();
    for (const text of ['one', 'two', 'three']) {
        await writer.append('INBOX', message(text));
    }
    await writer.mailboxOpen('INBOX');

    const client = new ImapFlow(options);
    await client.connect();
    assert(client.enabled.has('CONDSTORE') && client.enabled.has('QRESYNC'));
    const inbox = await client.mailboxOpen('INBOX');
    assert.equal(inbox.exists, 3);
    assert.equal(typeof inbox.highestModseq, 'bigint');
    // Taken now, as the client moves its own on with every answer.
    const { uidValidity, highestModseq: before } = inbox;
    const idling = client.idle();

    let event = next(client, 'exists');
    await writer.append('INBOX', message('four'));
    assert.equal((await event).count, 4);

    event = next(client, 'flags');
    await writer.messageFlagsAdd('2', ['\\Flagged'], { uid: true });
    const flagged = await event;
    assert.deepEqual([flagged.uid, [...flagged.flags]], [2, ['\\Flagged']]);
    assert(flagged.modseq > before);

    event = next(client, 'expunge');
    await writer.messageDelete('1', { uid: true });
    const gone = await event;
    assert.deepEqual([gone.uid, gone.vanished, gone.earlier], [1, true, false]);

    // What it knows when the connection breaks.
    const { highestModseq } = await client.status('INBOX', { highestModseq: true });
    await idling;
    const closed = next(client, 'close');
    client.close();
    await closed;

    await writer.messageFlagsAdd('3', ['\\Seen', 'later'], { uid: true });
    await writer.messageDelete('2', { uid: true });
    await writer.append('INBOX', message('five'));

    const again = new ImapFlow(options);
    await again.connect();
    const told = [];
    again.on('flags', ({ uid, flags }) => told.push([uid, [...flags].sort()]));
    again.on('expunge', ({ uid, earlier }) => told.push([uid, earlier]));
    const opened = await again.mailboxOpen('INBOX', { changedSince: highestModseq, uidValidity });
    assert.equal(opened.qresync, true);
    assert.equal(opened.exists, 3);
    assert.deepEqual(told, [[2, true], [3, ['\\Seen', 'later']], [5, []]]);

    await again.logout();
    await writer.logout();
    console.log('all is as expected');
}

main().catch(error => {
    console.error(error);
    process.exit(1);
});
