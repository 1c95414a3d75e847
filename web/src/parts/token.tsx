import { useState } from 'preact/hooks';
import { giveToken, hasToken } from '../api';

/** Asks for the token, where the daemon wants one. */
export function TokenForm() {
  const [token, setToken] = useState('');
  const submit = (event: Event) => {
    event.preventDefault();
    giveToken(token.trim());
  };
  return (
    <form class="token" onSubmit={submit}>
      <h1>{hasToken() ? 'That token is not the right one' : 'This tracer wants a token'}</h1>
      <p>
        It is <code>web.token</code> in the configuration of <code>tracer serve</code>. It is kept until this
        tab is closed.
      </p>
      <label>
        Token{' '}
        <input
          type="password"
          autocomplete="off"
          required
          value={token}
          onInput={(event) => setToken(event.currentTarget.value)}
        />
      </label>{' '}
      <button type="submit">Show</button>
    </form>
  );
}
